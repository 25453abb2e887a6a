"""`ferry-consumer run`: the command line."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK, EXIT_UNEXPECTED, EXIT_CONFIGURATION = 0, 1, 2

EXAMPLES = """\
examples:
  ferry-consumer run
  CONSUMER_GROUP=billing FERRY_ROUTES=orders.routes:routes ferry-consumer run

Settings come from the environment and .env; .env.example lists them all.
Exit codes: 0 stopped by a signal, 1 something unexpected, 2 a setting needs a change.
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    root = argparse.ArgumentParser(
        prog="ferry-consumer",
        description="Carries every record of the routed Kafka topics to a Celery task.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="join the consumer group and work until SIGTERM or Ctrl-C")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the consumer; returns the exit code."""
    parser().parse_args(argv)
    from ferry_shared.errors import ConfigurationError  # noqa: PLC0415 - `--help` must not wait for the clients

    try:
        return _run()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION


def _run() -> int:
    from ferry_consumer.service import Consumer  # noqa: PLC0415 - `--help` must not wait for the clients
    from ferry_shared import logs  # noqa: PLC0415 - imported when needed: `--help` must not wait for it
    from ferry_shared.collector import leave_out_what_is_here  # noqa: PLC0415 - with the rest
    from ferry_shared.errors import ConfigurationError  # noqa: PLC0415 - imported when needed: `--help` must not wait for it
    from ferry_shared.routes import load_routes  # noqa: PLC0415 - imported when needed: `--help` must not wait for it
    from ferry_shared.settings import ConsumerSettings, load  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

    settings = load(ConsumerSettings)
    logs.configure("consumer", settings)
    consumer = Consumer(settings, load_routes(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: consumer.stop())
    leave_out_what_is_here()
    try:
        consumer.run()
    except ConfigurationError:
        raise
    except Exception:
        logging.getLogger("ferry.consumer").exception("stopped by something unexpected; the ledger keeps what is open")
        return EXIT_UNEXPECTED
    return EXIT_OK
