"""The command line of the chaos runs."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.display import Display
from tests.chaos.mixture import mixture
from tests.chaos.plan import FULL_RUN_SECONDS
from tests.chaos.record import PAGE_FILE
from tests.chaos.run import Task
from tests.chaos.soak import SOAK_RATE, SOAK_SECONDS, soak

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the setting takes.
MOST_BATCHED = 1_000
EXIT_PASSED, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

_EXAMPLES = """\
examples:
  python -m tests.chaos mixture                          10 minutes, 300,000 messages, 55 faults
  python -m tests.chaos mixture --seconds 120 --seed 7   2 minutes; the same seed gives the same faults and messages
  python -m tests.chaos mixture --batch-size 100         up to 100 messages in one Celery message
  python -m tests.chaos soak --out soak                  20 minutes, a fault a minute; does memory grow?

exit codes: 0 nothing lost and everything explained, 1 not so, 2 wrong usage
"""


class Arguments(argparse.Namespace):
    """The command line, parsed."""

    command: str
    seconds: float
    rate: int
    seed: int | None
    out: Path | None
    batch_size: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv, Arguments())
    task = Task(
        arguments.command,
        secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed,
        arguments.seconds,
        arguments.rate,
        (arguments.out or Path(tempfile.mkdtemp(prefix="ferry-chaos-"))).absolute(),
        arguments.batch_size,
    )
    if task.directory.exists() and any(task.directory.iterdir()):
        print(f"--out: {task.directory} is not empty; expected an empty folder or a new one", file=sys.stderr)
        return EXIT_USAGE
    with Display() as display:
        display.tell(f"seed {task.seed}; to repeat: {task.command_line}")
        try:
            verdict = (mixture if task.command == "mixture" else soak)(task, display)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        finally:
            display.tell(f"record, logs and files: {task.directory}")
    print((task.directory / PAGE_FILE).read_text())
    return EXIT_PASSED if verdict.passed else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Faults under load, on a real Kafka and a real Valkey; every message is accounted for.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, seconds, rate in (
        ("mixture", "every kind of fault, in an order that the seed determines", FULL_RUN_SECONDS, 500),
        ("soak", "a fault a minute, and an eye on memory", SOAK_SECONDS, SOAK_RATE),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--seconds", type=float, default=seconds, help=f"how long ({seconds:g})")
        command.add_argument("--rate", type=int, default=rate, help=f"messages a second ({rate})")
        command.add_argument("--seed", type=int, help="a number; without it a fresh one, which is printed")
        command.add_argument(
            "--batch-size", type=_batch_size, default=1, metavar="N",
            help="the consumers' CONSUMER_BATCH_SIZE: messages in one Celery message, at most (1: no batches)",
        )  # fmt: skip
        command.add_argument("--out", type=Path, help="folder for record, logs and data (a temporary one)")
    return parser


def _batch_size(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_BATCHED:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_BATCHED}, not {text!r}")
