"""The command line of the chaos runs."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import record
from tests.chaos.oracle.verdict import FULL, SHORT
from tests.chaos.plan import FULL_RUN_SECONDS
from tests.chaos.run import Task, mixture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_PASSED, EXIT_FAILED = 0, 1

_EXAMPLES = """\
examples:
  python -m tests.chaos mixture                          10 minutes, 300,000 messages, 55 faults
  python -m tests.chaos mixture --seconds 120 --seed 7   2 minutes; the same seed gives the same faults and messages

exit codes: 0 nothing lost and everything explained, 1 not so, 2 wrong usage
"""


class Arguments(argparse.Namespace):
    """The command line, parsed."""

    command: str
    seconds: float
    rate: int
    seed: int | None
    out: Path | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv, Arguments())
    task = Task(
        secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed,
        arguments.seconds,
        arguments.rate,
        (arguments.out or Path(tempfile.mkdtemp(prefix="ferry-chaos-"))).absolute(),
    )
    return run_mixture(task, teller())


def run_mixture(task: Task, tell: Callable[[str], None]) -> int:
    """Run it, write and print the record."""
    tell(
        f"seed {task.seed}; to repeat: python -m tests.chaos mixture --seconds {task.seconds:g} --rate {task.rate} --seed {task.seed}"
    )
    demands = FULL if task.seconds >= FULL_RUN_SECONDS else SHORT
    run, evidence, verdict = mixture(task, demands, tell)
    record.write(task.directory, task, run, evidence, verdict)
    print(record.as_markdown(task, run, evidence, verdict))
    print(f"record, logs and files: {task.directory}")
    return EXIT_PASSED if verdict.passed else EXIT_FAILED


def teller() -> Callable[[str], None]:
    """Prints a line on standard error, with the seconds since now."""
    start = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {line}", file=sys.stderr, flush=True)

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Faults at random under load, on a real Kafka and a real Valkey; every message is accounted for.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mixture_command = commands.add_parser("mixture", help="every kind of fault, in an order that the seed determines")
    mixture_command.add_argument("--seconds", type=float, default=FULL_RUN_SECONDS, help="how long (600)")
    mixture_command.add_argument("--rate", type=int, default=500, help="messages a second (500)")
    mixture_command.add_argument("--seed", type=int, help="a number; without it a fresh one, which is printed")
    mixture_command.add_argument("--out", type=Path, help="folder for record, logs and data (a temporary one)")
    return parser
