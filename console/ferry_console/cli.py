"""The command `ferry`: for operators and newcomers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_UNEXPECTED, EXIT_CONFIGURATION, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 1, 2, 3, 130

_EXAMPLES = """\
examples:
  ferry demo "hello" "world"    messages through the whole system, every one accounted for
  ferry up                      Kafka, Valkey, consumer, worker and beat on this machine, until Ctrl-C
  ferry trace messages-0-42     what is known of one message

Settings come from the environment and from .env; .env.example lists them all.
exit codes: 0 fine, 1 something unexpected or unaccounted for, 2 wrong usage or setting, 3 a server can't be reached
"""


class Arguments(argparse.Namespace):
    """The command line, parsed; each command has the fields that it needs."""

    command: str
    words: list[str]
    timeout: float
    data: Path
    task_id: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv, Arguments())
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(arguments: Arguments) -> int:
    """Import what the command needs and nothing else: `ferry --help` must not wait for Kafka's and Celery's clients."""
    from ferry_shared.errors import ConfigurationError  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

    try:
        if arguments.command == "up":
            from ferry_console import up  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

            return up.main(arguments)
        if arguments.command == "demo":
            from ferry_console.demo import command as demo  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

            return demo.main(arguments)
        from ferry_console import trace  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

        return trace.main(arguments)
    except ConfigurationError as error:
        print(f"ferry: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except ModuleNotFoundError as error:
        print(f"ferry: {arguments.command} needs {error.name}: pip install 'ferry-kafka[local]'", file=sys.stderr)
        return EXIT_CONFIGURATION


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ferry",
        description="Ferry carries every Kafka message to a Celery task.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="run the whole system on this machine until Ctrl-C")
    _add_data(up)
    demo = commands.add_parser("demo", help="send messages through the whole system and account for each")
    demo.add_argument("words", nargs="*", metavar="TEXT", help="messages to send besides a file of a thousand")
    demo.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long messages may take (60)")
    _add_data(demo)
    trace = commands.add_parser("trace", help="tell what is known of one message")
    trace.add_argument("task_id", metavar="ID", help="a task id, as the worker prints it: messages-0-42")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path(".ferry"), metavar="FOLDER", help="where Kafka and Valkey keep data (.ferry)"
    )
