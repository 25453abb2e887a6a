"""The command line of `ferry-producer`, parsed."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Literal

from ferry_shared.completion import add_completion

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RETRIES = 2_147_483_647
MAX_INTERVAL_SECONDS = 86_400.0
MAX_RATE_PER_SECOND = 10_000_000.0
STANDARD_INPUT = "-"

_DESCRIPTION = "Send messages to a Kafka topic. Without TEXT or --file the default messages are sent."
_EPILOG = """\
examples:
  ferry-producer "hello" "world"                     two messages
  ferry-producer '{"text": "hello", "order": 7}'     a message with a field of its own
  ferry-producer - < /var/log/dpkg.log               one message a line
  ferry-producer --file orders.ndjson.gz --key-field customer --undelivered left.ndjson
  ferry-producer --file orders.ndjson --dry-run      check every line, send nothing
  tail -f app.log | ferry-producer - --key app       as they come, all to one partition
  ferry-producer --count 60000 --rate 1000 "tick"    a minute of load
  ferry-producer --forever --interval 0.5 "tick"     until Ctrl-C

A TEXT or line that is a JSON object is the message itself and needs a field "text"; anything else becomes the
text of a message. For a topic of FERRY_ROUTES the route's own model decides. Empty lines are skipped; an invalid
line is reported with its number, the others are sent.

exit codes:
  0  Kafka acknowledged everything        1  all but invalid lines      2  wrong usage or setting
  3  Kafka can't be reached, or did not acknowledge everything
  130, 143  Ctrl-C or SIGTERM came before the end of the input

Settings come from the environment and from .env; options win. See .env.example.
"""


class Arguments(argparse.Namespace):
    """None: not given, so the setting decides, or there is none."""

    texts: list[str]
    file: str | None
    forever: bool
    count: int | None
    interval: float | None
    rate: float | None
    topic: str | None
    key: str | None
    key_field: str | None
    headers: list[tuple[str, bytes]]
    on_invalid: Literal["skip", "stop"]
    undelivered: str | None
    dry_run: bool
    json: bool
    acks: Literal["0", "1", "all"] | None
    retries: int | None


def parse(argv: Sequence[str] | None) -> Arguments:
    """Parse and check; wrong usage ends the process with exit code 2 and a sentence."""
    parser = make_parser()
    arguments = parser.parse_args(argv, Arguments())
    if problem := _contradiction(arguments):
        parser.error(problem)
    return arguments


def _contradiction(arguments: Arguments) -> str | None:
    reads_input = STANDARD_INPUT in arguments.texts
    wrong = {
        "standard input (-) can be read only once": arguments.texts.count(STANDARD_INPUT) > 1,
        "--file stands alone: no TEXT and no - beside it": arguments.file is not None and arguments.texts,
        "--forever repeats texts; standard input (-) and --file can't be repeated": arguments.forever
        and (reads_input or arguments.file is not None),
        "--interval needs --forever": arguments.interval is not None and not arguments.forever,
        "--interval and --rate say the same thing; give one": arguments.interval is not None
        and arguments.rate is not None,
        "--key-field: expected a field's name": arguments.key_field == "",
    }
    return next((sentence for sentence, so in wrong.items() if so), None)


def make_parser() -> argparse.ArgumentParser:
    """The parser, also for shell completion."""
    parser = argparse.ArgumentParser(
        prog="ferry-producer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_input(parser.add_argument_group("what is sent"))
    _add_record(parser.add_argument_group("where to, and with what"))
    _add_account(parser.add_argument_group("what is told, and what is left"))
    add_completion(parser)
    return parser


def _add_input(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("texts", nargs="*", metavar="TEXT", help="a message; - reads standard input, one message a line")
    _file(add("--file", metavar="FILE", help="one message a line: JSON objects or plain text, gzip too"))
    add("--forever", action="store_true", help="send the messages in turn until Ctrl-C")
    add("--count", type=_count, metavar="N", help="stop after N messages; texts are sent in turn until then")
    add("--interval", type=_interval, metavar="SECONDS", help="pause of --forever (PRODUCER_INTERVAL_SECONDS, 1)")
    add("--rate", type=_rate, metavar="N", help="messages a second; without it as fast as Kafka takes them")
    add("--on-invalid", choices=("skip", "stop"), default="skip", help="what an invalid line does (skip)")
    add("--dry-run", action="store_true", help="check every message; reach no Kafka, send nothing")


def _add_record(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--topic", metavar="NAME", help="topic, created if it is missing (FERRY_TOPIC, messages)")
    keys = group.add_mutually_exclusive_group()
    keys.add_argument("--key", metavar="KEY", help="key of every message: one key, one partition, one order")
    keys.add_argument("--key-field", metavar="FIELD", help="the message's field that is its key: customer, or order.id")
    add("--header", action="append", default=[], dest="headers", type=_header, metavar="K=V", help="may be repeated")
    add("--acks", choices=("0", "1", "all"), help="who must have a message before it counts (PRODUCER_ACKS, all)")
    add("--retries", type=_retries, metavar="N", help="retries of a failed send (PRODUCER_RETRIES, until the timeout)")


def _add_account(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    _file(add("--undelivered", metavar="FILE", help="keep each line that was read and not acknowledged there"))
    add("--json", action="store_true", help="the account of the run as one JSON object on stdout")


def _file(action: argparse.Action) -> None:
    """Names of files complete it (shtab)."""
    action.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("expected NAME=VALUE")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("expected a name in UTF-8") from None
    return name, value.encode(errors="surrogateescape")


def _interval(text: str) -> float:
    seconds = _number(float, text)
    if not 0 <= seconds <= MAX_INTERVAL_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {MAX_INTERVAL_SECONDS:g}")
    return seconds


def _rate(text: str) -> float:
    rate = _number(float, text)
    if not (math.isfinite(rate) and 0 < rate <= MAX_RATE_PER_SECOND):
        raise argparse.ArgumentTypeError(f"expected messages a second, above 0, at most {MAX_RATE_PER_SECOND:,.0f}")
    return rate


def _count(text: str) -> int:
    count = _number(int, text)
    if count < 1:
        raise argparse.ArgumentTypeError("expected a number from 1")
    return int(count)


def _retries(text: str) -> int:
    retries = _number(int, text)
    if not 0 <= retries <= MAX_RETRIES:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {MAX_RETRIES}")
    return int(retries)


def _number(kind: type[float], text: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a number") from None
