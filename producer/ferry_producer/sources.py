"""Where messages come from: arguments, a file, standard input, or the default texts; all of them as lines."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from ferry_producer.arguments import STANDARD_INPUT
from ferry_producer.lines import Line
from ferry_producer.messages import InvalidText

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from ferry_producer.input import Input
    from ferry_producer.outgoing import Recipe
    from ferry_producer.stop import Stop

DEFAULT_TEXTS = ("Hello from Ferry", "Kafka carries this text", "Celery prints it")


def numbered(texts: Sequence[str], line_of: Callable[[bytes], bytes] = bytes) -> list[Line]:
    """The texts of the command line, each as `line_of` makes it a line."""
    return [Line(number, line_of(text.encode(errors="surrogateescape"))) for number, text in enumerate(texts, 1)]


def is_input(argument: Line) -> bool:
    """Whether it stands for standard input."""
    return argument.content == STANDARD_INPUT.encode()


def check(arguments: Sequence[Line], recipe: Recipe) -> None:
    """Check the texts of the command line, so that a mistake is told before anything is sent.

    Raises:
        InvalidText: naming the argument.
    """
    for argument in arguments:
        if not is_input(argument):
            try:
                recipe.record(argument)
            except InvalidText as error:
                raise InvalidText(f"argument {argument.number}: {error}") from None


async def once(arguments: Sequence[Line], source: Input | None, stop: Stop) -> AsyncIterator[list[Line]]:
    """Yield the arguments in their order, and for `-` the lines of the input; without arguments those alone.

    Raises:
        Stopped: a signal came before the end of the input.
        UnreadableInput: the input can't be read.
    """
    given: list[Line] = []
    for argument in arguments:
        if source is None or not is_input(argument):
            given.append(argument)
        else:
            yield given
            given = []
            async for lines in source.lines(stop):
                yield lines
    yield given
    if source is not None and not arguments:
        async for lines in source.lines(stop):
            yield lines


async def in_turn(
    texts: Sequence[Line], times: int | None, interval_seconds: float, stop: Stop
) -> AsyncIterator[list[Line]]:
    """Yield the texts in turn, `times` altogether (None: for ever), with pauses, until a signal comes."""
    for line in _repeated(texts):
        if stop.asked or (times is not None and line.number > times):
            return
        yield [line]
        if interval_seconds:
            await stop.sleep(interval_seconds)


def default_lines() -> list[Line]:
    """The default texts."""
    return numbered(DEFAULT_TEXTS)


def _repeated(texts: Sequence[Line]) -> Iterator[Line]:
    """The default texts are counted: each of them is another message."""
    for number in count(1):
        default = f"{DEFAULT_TEXTS[(number - 1) % len(DEFAULT_TEXTS)]} (message {number})"
        yield Line(number, texts[(number - 1) % len(texts)].content if texts else default.encode())
