"""Arguments, inputs and default texts as lines."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ferry_producer import sources
from ferry_producer.input import Input
from ferry_producer.lines import Line
from ferry_producer.messages import InvalidText, built_in_value, message_from
from ferry_producer.outgoing import Recipe
from ferry_producer.stop import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RECIPE = Recipe(built_in_value)


def test_a_wrong_argument_is_named() -> None:
    """The number of the argument is told; `-` is none; bytes that are not UTF-8 are told too."""
    assert sources.numbered(["a", "-"]) == [Line(1, b"a"), Line(2, b"-")]
    sources.check(sources.numbered(["a", "-"]), RECIPE)
    for texts, problem in ((["a", ""], r"^argument 2: text: "), (["\udcff"], r"^argument 1: not UTF-8 at byte 1$")):
        with pytest.raises(InvalidText, match=problem):
            sources.check(sources.numbered(texts), RECIPE)


async def collect(batches: AsyncIterator[list[Line]]) -> list[Line]:
    """All lines of a source."""
    return [line async for batch in batches for line in batch]


def pipe_with(content: bytes) -> Input:
    """A pipe that gives `content` and ends."""
    source, target = os.pipe()
    os.write(target, content)
    os.close(target)
    return Input("a pipe", source, again=False)


async def test_standard_input_stands_among_arguments() -> None:
    """Arguments and lines come in their order."""
    source = pipe_with(b"one\n\n two \nlast")
    lines = await collect(sources.once([Line(1, b"a"), Line(2, b"-"), Line(3, b"b")], source, Stop(1)))
    assert lines == [Line(1, b"a"), Line(1, b"one"), Line(3, b" two "), Line(4, b"last"), Line(3, b"b")]
    os.close(source.descriptor)


async def test_a_file_stands_alone() -> None:
    """Without arguments all lines are its own."""
    source = pipe_with(b"one\ntwo\n")
    assert await collect(sources.once([], source, Stop(1))) == [Line(1, b"one"), Line(2, b"two")]
    os.close(source.descriptor)


async def take(batches: AsyncIterator[list[Line]], stop: Stop, count: int) -> list[bytes | None]:
    """The first `count` contents, then a signal; the source must end by itself."""
    contents: list[bytes | None] = []
    async for batch in batches:
        contents += [line.content for line in batch]
        if len(contents) == count:
            stop.ask(signal.SIGTERM)
    return contents


async def test_texts_come_in_turn_until_a_signal() -> None:
    """For ever."""
    stop = Stop(1)
    contents = await take(sources.in_turn([Line(1, b"a"), Line(2, b"b")], None, 0, stop), stop, 5)
    assert contents == [b"a", b"b", b"a", b"b", b"a"]


async def test_texts_come_in_turn_so_many_times() -> None:
    """Or until there are enough."""
    lines = await collect(sources.in_turn([Line(1, b"a"), Line(2, b"b")], 3, 0, Stop(1)))
    assert lines == [Line(1, b"a"), Line(2, b"b"), Line(3, b"a")]


async def test_repeated_default_texts_are_counted() -> None:
    """Without texts the default ones come, each with its number."""
    stop = Stop(1)
    contents = await take(sources.in_turn([], None, 0, stop), stop, 4)
    assert contents[0] == b"Hello from Ferry (message 1)"
    assert contents[3] == b"Hello from Ferry (message 4)"
    assert len(set(contents)) == 4


def test_the_default_texts_are_messages() -> None:
    """Every default text is valid."""
    texts = [message_from(line.content or b"").text for line in sources.default_lines()]
    assert texts == list(sources.DEFAULT_TEXTS)
