"""The lines of a file, compressed or not, and of standard input; what a signal leaves of them."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from typing import TYPE_CHECKING

import pytest

from ferry_producer.input import Input, UnreadableInput, file_input
from ferry_producer.lines import Line
from ferry_producer.stop import Stop, Stopped
from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"\xef\xbb\xbfone\r\n\r\n\n two \nlast"
LINES = [Line(1, b"one"), Line(4, b" two "), Line(5, b"last")]


async def lines_of(source: Input, stop: Stop | None = None) -> list[Line]:
    """All of them."""
    try:
        return [line async for batch in source.lines(stop or Stop(1)) for line in batch]
    finally:
        os.close(source.descriptor)


@pytest.mark.parametrize(
    "content",
    [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])],
    ids=["plain", "gzip", "two of them"],
)
async def test_a_file_may_be_compressed(tmp_path: Path, content: bytes) -> None:
    """By its content, whatever its name; a byte order mark, line ends and empty lines go, numbers stay."""
    path = tmp_path / "messages"
    path.write_bytes(content)
    source = file_input(path)
    assert (source.size_bytes, source.again) == (len(content), True)
    assert await lines_of(source) == LINES
    assert source.bytes_read == len(content)


async def test_a_damaged_file_is_told_after_what_could_be_read(tmp_path: Path) -> None:
    """Its beginning counts."""
    path = tmp_path / "messages.gz"
    path.write_bytes(gzip.compress(b"line\n" * 100_000, compresslevel=0)[:400_000])
    source, lines = file_input(path), list[Line]()

    async def read() -> None:
        async for batch in source.lines(Stop(1)):
            lines.extend(batch)

    with pytest.raises(UnreadableInput, match=r"messages\.gz can't be read: the end of the gzip data is missing"):
        await read()
    assert len(lines) > 70_000
    os.close(source.descriptor)


def test_a_file_that_can_not_be_opened_is_told(tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"--file: .*missing can't be read: No such file"):
        file_input(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="it is a directory"):
        file_input(tmp_path)


async def test_unreadable_input_is_told(tmp_path: Path) -> None:
    """A folder as standard input is told in words."""
    with pytest.raises(UnreadableInput, match="standard input can't be read: Is a directory"):
        await lines_of(Input("standard input", os.open(tmp_path, os.O_RDONLY), again=False))


@pytest.mark.parametrize("error", [MemoryError(), ValueError("no such thing"), OverflowError("too far")])
async def test_any_error_of_the_reader_is_told(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of waiting for ever; what was read before counts, also the beginning of a line."""
    reading, writing = os.pipe()
    read, lines = os.read, list[Line]()

    def read_once(descriptor: int, length: int) -> bytes:
        monkeypatch.setattr(os, "read", fail)
        return read(descriptor, length)

    def fail(*_: int) -> bytes:
        raise error

    monkeypatch.setattr(os, "read", read_once)
    os.write(writing, b"one\ntw")
    source = Input("a pipe", reading, again=False)

    async def read_all() -> None:
        async for batch in source.lines(Stop(1)):
            lines.extend(batch)
            os.write(writing, b"more")

    with pytest.raises(UnreadableInput, match=f"a pipe can't be read: {type(error).__name__}"):
        await asyncio.wait_for(read_all(), 10)
    assert (lines, source.cut_line) == ([Line(1, b"one")], b"tw")
    os.close(reading)
    os.close(writing)


async def test_a_reader_that_can_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit of threads is reached."""

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", start)
    with pytest.raises(UnreadableInput, match="a pipe can't be read: can't start new thread"):
        await lines_of(Input("a pipe", os.open(os.devnull, os.O_RDONLY), again=False))


async def test_a_signal_ends_the_wait_for_input() -> None:
    """Nobody types, a signal comes: the source says so instead of ending."""
    source, target = os.pipe()
    stop = Stop(1)
    stop.ask(signal.SIGINT)
    with pytest.raises(Stopped):
        await lines_of(Input("a pipe", source, again=False), stop)
    os.close(target)


async def test_a_signal_ends_a_file_in_the_middle_of_what_one_read_unpacks_to(tmp_path: Path) -> None:
    """A few bytes may be millions of lines."""
    (tmp_path / "f").write_bytes(gzip.compress(b"line\n" * 1_000_000))
    source, stop, lines = file_input(tmp_path / "f"), Stop(1), list[Line]()

    async def read() -> None:
        async for batch in source.lines(stop):
            lines.extend(batch)
            stop.ask(signal.SIGINT)

    with pytest.raises(Stopped):
        await read()
    assert 0 < len(lines) < 20_000
    os.close(source.descriptor)


async def test_what_was_taken_from_a_pipe_is_given_out_or_told() -> None:
    """Whole lines are yielded, also when the signal came first; the beginning of another one is kept."""
    reading, writing = os.pipe()
    source, stop, lines = Input("a pipe", reading, again=False), Stop(1), list[Line]()
    os.write(writing, b"one\ntw")

    async def read() -> None:
        async for batch in source.lines(stop):
            lines.extend(batch)
            if lines == [Line(1, b"one")]:
                os.write(writing, b"o\nthree\nfo")
                stop.ask(signal.SIGINT)
                await asyncio.sleep(0)

    with pytest.raises(Stopped):
        await read()
    rest = os.read(reading, 100) if not source.cut_line.startswith(b"fo") else b""
    given = b"".join(line.content + b"\n" for line in lines if line.content is not None)
    assert given + source.cut_line + rest == b"one\ntwo\nthree\nfo"
    os.close(reading)
    os.close(writing)


async def test_a_files_rest_can_be_read_again(tmp_path: Path) -> None:
    """So nothing of it is told."""
    (tmp_path / "lines").write_bytes(b"one\ntwo")
    source = file_input(tmp_path / "lines")
    async for _ in source.lines(Stop(1)):
        break
    assert source.cut_line == b""
    os.close(source.descriptor)
