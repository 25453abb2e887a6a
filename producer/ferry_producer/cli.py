"""The command `ferry-producer`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RETRIES = 2_147_483_647
MAX_INTERVAL_SECONDS = 86_400.0


class Arguments(argparse.Namespace):
    """The command line, parsed. None: the setting decides."""

    texts: list[str]
    forever: bool
    interval: float | None
    topic: str | None
    key: str | None
    acks: Literal["0", "1", "all"] | None
    retries: int | None


_DESCRIPTION = "Send messages to a Kafka topic. Without TEXT the default messages are sent."
_EPILOG = """\
examples:
  ferry-producer "hello" "world"                     two messages
  ferry-producer '{"text": "hello", "order": 7}'     a message with a field of its own
  ferry-producer - < /var/log/dpkg.log               one message a line
  tail -f app.log | ferry-producer - --key app       as they come, all to one partition
  ferry-producer --forever --interval 0.5 "tick"     until Ctrl-C

A TEXT or line that is a JSON object is the message itself and needs a field "text"; anything else becomes the
text of a message. Empty lines are skipped; an invalid line is reported with its number, the others are sent.

exit codes:
  0  Kafka acknowledged everything        1  all but invalid lines      2  wrong usage or setting
  3  Kafka can't be reached, or did not acknowledge everything
  130, 143  Ctrl-C or SIGTERM came before the end of the input

Settings come from the environment and from .env; options win. See .env.example.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        arguments = _parse(argv)
        from ferry_producer import command  # noqa: PLC0415 - heavy, and --help must not wait for it

        return command.execute(arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        _close_stdout()


def _parse(argv: Sequence[str] | None) -> Arguments:
    parser = _parser()
    arguments = parser.parse_args(argv, Arguments())
    if arguments.interval is not None and not arguments.forever:
        parser.error("--interval needs --forever")
    if arguments.forever and "-" in arguments.texts:
        parser.error("--forever repeats texts; standard input (-) can't be repeated")
    if arguments.texts.count("-") > 1:
        parser.error("standard input (-) can be read only once")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ferry-producer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="a message; - reads standard input, one message a line")
    add("--forever", action="store_true", help="send the messages in turn until Ctrl-C")
    add("--interval", type=_interval, metavar="SECONDS", help="pause of --forever (PRODUCER_INTERVAL_SECONDS, 1)")
    add("--topic", metavar="NAME", help="topic, created if it is missing (FERRY_TOPIC, messages)")
    add("--key", metavar="KEY", help="key of every message: one key, one partition, one order")
    add("--acks", choices=("0", "1", "all"), help="who must have a message before it counts (PRODUCER_ACKS, all)")
    add("--retries", type=_retries, metavar="N", help="retries of a failed send (PRODUCER_RETRIES, until the timeout)")
    return parser


def _interval(text: str) -> float:
    seconds = _number(float, text)
    if not 0 <= seconds <= MAX_INTERVAL_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {MAX_INTERVAL_SECONDS:g}")
    return seconds


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


def _close_stdout() -> None:
    """`ferry-producer --help | head -1`: a reader who left is no error, also not when the interpreter flushes."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
