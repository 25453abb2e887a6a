"""The command line of the measurements."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferry_console.option_values import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  python -m bench dispatch                        the table of one measurement
  python -m bench dispatch --messages 50000 --rounds 1 --code    a short one, with the peers' programs
  python -m bench produce --json                  the report as JSON
  python -m bench all --output results            all of them, each as results/NAME.json and results/NAME.svg
  python -m bench gates results                   what of it holds
  python -m bench regression                      a minute: is dispatch as fast as it was?

exit codes: 0 all was measured, and with all, gates and regression all gates hold; 1 it is not so;
2 wrong usage, 3 Kafka or Valkey can't be started or doesn't answer, 130 and 143 Ctrl-C and SIGTERM
"""


@dataclass(frozen=True, slots=True)
class Size:
    """What a measurement takes by default: messages, rounds, and the longest time of a round in seconds."""

    help: str
    messages: int
    rounds: int
    seconds: float


SIZES = {
    "produce": Size("a file's lines into Kafka, against kcat and a plain program", 500_000, 5, 60),
    "dispatch": Size("a backlog from Kafka to the queue, against loops and raw consume + parse", 500_000, 5, 30),
    "end_to_end": Size("a backlog to its tasks' end, against a loop and a stock worker", 500_000, 3, 300),
    "latency": Size("produce to task start at steady rates, against a loop", 0, 5, 30),
    "memory": Size("memory and CPU along a large backlog, against a small one", 5_000_000, 3, 600),
    "scaling": Size("one and two consumers, one and two worker processes", 500_000, 3, 120),
}
REGRESSION = Size("the ratios of dispatch, quickly", 100_000, 5, 4)


class Arguments(argparse.Namespace):
    """The command line, parsed."""

    command: str
    messages: int | None
    rounds: int | None
    seconds: float | None
    json: bool
    code: bool
    output: Path | None
    folder: Path


def parse(argv: Sequence[str] | None) -> Arguments:
    """Read the command line; ends the process with exit code 2 where that can't be."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Ferry and its peers side by side, on a real Kafka and a real Valkey of its own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, size in SIZES.items():
        command = commands.add_parser(name, help=size.help, description=size.help, allow_abbrev=False)
        if size.messages:
            command.add_argument("--messages", type=_count, help=f"backlog ({size.messages:,})")
        what = "length of a round" if not size.messages else "longest time of a round"
        command.add_argument("--seconds", type=seconds, help=f"{what} ({size.seconds:g})")
        command.add_argument("--rounds", type=_count, help=f"rounds of each, alternating ({size.rounds})")
        _add_output(command)
    whole = commands.add_parser("all", help="all of them, then the gates", allow_abbrev=False)
    _add_output(whole)
    gates = commands.add_parser("gates", help="what of a folder's reports holds", allow_abbrev=False)
    gates.add_argument("folder", type=Path, metavar="DIR", help="where --output has written")
    gates.add_argument("--json", action="store_true", help="JSON in place of the table")
    short = commands.add_parser("regression", help=REGRESSION.help, allow_abbrev=False)
    short.add_argument("--json", action="store_true", help="JSON in place of the table")
    defaults = Arguments(messages=None, rounds=None, seconds=None, code=False, output=None)
    return parser.parse_args(argv, defaults)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="JSON in place of the table")
    command.add_argument("--code", action="store_true", help="print the peers' programs below the table")
    command.add_argument("--output", type=Path, metavar="DIR", help="write NAME.json and NAME.svg there")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected a number from 1 on")
    return value
