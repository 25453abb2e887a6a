"""Lines of a file descriptor: any cut of the bytes gives the same lines, and every kind of file can be read."""

from __future__ import annotations

import asyncio
import os
import pty
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferry_producer.lines import ChunkReader, Line, LineSplitter

if TYPE_CHECKING:
    from pathlib import Path

PIECES = st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"\r\n", b"\r", b"a\nb", b"\n\n"]), max_size=20)


def split(pieces: list[bytes], limit: int = 1000) -> list[Line]:
    """All lines of the pieces."""
    splitter = LineSplitter(limit)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()


@given(PIECES)
def test_any_cut_gives_the_lines_of_the_whole(pieces: list[bytes]) -> None:
    """However the bytes arrive, the lines are those of the whole, counted from 1, without LF or CRLF."""
    contents = b"".join(pieces).split(b"\n")
    if not contents[-1]:
        contents.pop()
    assert split(pieces) == [Line(number, content.removesuffix(b"\r")) for number, content in enumerate(contents, 1)]


@example([b"a\nlonger\nb\n"], 3)
@example([b"a\nlonger\r\nb\n"], 3)
@given(PIECES, st.integers(1, 15))
def test_only_a_line_above_the_limit_is_refused(pieces: list[bytes], limit: int) -> None:
    """A line has its content exactly if it is no longer than the limit; its number is kept."""
    whole, limited = split([b"".join(pieces)], 10_000), split(pieces, limit)
    raw = b"".join(pieces).split(b"\n")
    assert [line.number for line in limited] == [line.number for line in whole]
    for line, expected, content in zip(limited, whole, raw, strict=False):
        assert line.content == (expected.content if len(content) <= limit else None)


def test_an_endless_line_takes_no_memory() -> None:
    """64 MiB without a line's end never hold more than the limit and a chunk."""
    splitter, chunk = LineSplitter(1 << 20), b"x" * (1 << 16)
    tracemalloc.start()
    try:
        for _ in range(1024):
            assert splitter.feed(chunk + b"y") == []
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
    assert splitter.feed(b"\nnext\n") == [Line(1, None), Line(2, b"next")]


async def read_all(descriptor: int) -> bytes:
    """Everything the reader gives."""
    reader, chunks = ChunkReader(descriptor), []
    while chunk := await reader.next():
        chunks.append(chunk)
    return b"".join(chunks)


async def test_a_file_is_read(tmp_path: Path) -> None:
    """A regular file, which epoll refuses, is read whole."""
    path = tmp_path / "input"
    path.write_bytes(os.urandom(300_000))
    with path.open("rb") as file:
        assert await read_all(file.fileno()) == path.read_bytes()


async def test_a_pipe_is_read() -> None:
    """A pipe is read to its end, as pieces come."""
    source, target = os.pipe()
    reader = ChunkReader(source)
    os.write(target, b"one\n")
    assert await reader.next() == b"one\n"
    os.write(target, b"two\n")
    os.close(target)
    assert await reader.next() == b"two\n"
    assert await reader.next() == b""
    os.close(source)


async def test_another_reader_of_a_non_blocking_pipe_may_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares a pipe can make it non-blocking: then "nothing yet" is no end."""
    source, target = os.pipe()
    os.set_blocking(source, False)
    read, tries = os.read, list[int]()

    def read_second(descriptor: int, size: int) -> bytes:
        tries.append(descriptor)
        if len(tries) == 1:
            raise BlockingIOError
        return read(descriptor, size)

    monkeypatch.setattr("os.read", read_second)
    os.write(target, b"late\n")
    assert await ChunkReader(source).next() == b"late\n"
    assert tries == [source, source]
    os.close(target)
    os.close(source)


async def test_a_reader_that_waits_lets_go() -> None:
    """What comes after that stays in the pipe, for whoever reads it next."""
    source, target = os.pipe()
    reader = ChunkReader(source)
    waiting = asyncio.create_task(reader.next())
    await asyncio.sleep(0.05)
    waiting.cancel()
    assert await reader.close() == b""
    os.write(target, b"for another")
    assert os.read(source, 100) == b"for another"
    assert not reader._thread.is_alive()
    os.close(target)
    os.close(source)


async def test_what_was_read_and_not_taken_is_given_back() -> None:
    """A signal can come between the two."""
    source, target = os.pipe()
    reader = ChunkReader(source)
    os.write(target, b"one\n")
    waiting = asyncio.create_task(reader.next())
    await asyncio.sleep(0)
    waiting.cancel()
    given_back = await reader.close()
    os.close(target)
    assert given_back + os.read(source, 100) == b"one\n"
    os.close(source)


async def test_a_terminal_is_read() -> None:
    """A terminal gives a line as it is typed, and ends at Ctrl-D."""
    keyboard, terminal = pty.openpty()
    reader = ChunkReader(terminal)
    os.write(keyboard, b"typed\n")
    assert await reader.next() == b"typed\n"
    os.write(keyboard, b"\x04")
    assert await reader.next() == b""
    os.close(keyboard)
    os.close(terminal)


async def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder is no input."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        await ChunkReader(descriptor).next()
    os.close(descriptor)
