"""The lines of a file or of standard input."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from ferry_producer.gzip_stream import MAGIC, DamagedGzip, GzipStream
from ferry_producer.lines import BYTE_ORDER_MARK, CHUNK_BYTES, FILE_CHUNK_BYTES, ChunkReader, Line, LineSplitter
from ferry_producer.stop import Stopped
from ferry_shared.errors import ConfigurationError, FerryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from ferry_producer.stop import Stop


class UnreadableInput(FerryError):
    """An input can't be read (any more)."""


class Input:
    """A file descriptor whose lines are messages, read once.

    `again` says that whatever isn't taken can be read again: a file's lines, not a pipe's.
    """

    def __init__(self, name: str, descriptor: int, *, again: bool) -> None:
        self.name = name
        self.again = again
        self.bytes_read = 0
        self.size_bytes = _size_bytes(descriptor)
        self.descriptor = descriptor
        #: Whole lines that were read and that nobody waited for any more: the run ended at that moment.
        self.untaken: list[Line] = []
        self._splitter = LineSplitter()

    async def lines(self, stop: Stop) -> AsyncIterator[list[Line]]:
        """Yield them all, empty ones left out.

        Raises:
            Stopped: a signal came before the end; what had been read in whole lines until then was yielded.
            UnreadableInput: it can't be read, or what looks like gzip is none.
        """
        try:
            reader = ChunkReader(self.descriptor, CHUNK_BYTES if self.size_bytes is None else FILE_CHUNK_BYTES)
            plain = _Plain(gzip_allowed=self.again)
        except OSError as error:
            raise UnreadableInput(f"{self.name} can't be read: {error.strerror}") from error
        try:
            while chunk := await stop.unless_asked(reader.next()):
                reader.given = b""
                self.bytes_read += len(chunk)
                for piece in plain.feed(chunk):
                    yield _not_empty(self._splitter.feed(piece))
                    # A chunk may be unpacked into far more than can be sent in the time that a signal leaves.
                    if self.again:
                        stop.check()
            plain.end()
            yield _not_empty(self._splitter.end())
        except Stopped:
            # Whoever holds the other end of a pipe believes that we have it.
            if not self.again and (chunk := await reader.close()):
                yield self._split(plain.feed(chunk))
            raise
        except DamagedGzip as error:
            raise UnreadableInput(f"{self.name} can't be read: {error}") from error
        except OSError as error:
            raise UnreadableInput(f"{self.name} can't be read: {error.strerror}") from error
        finally:
            # Also if the run was cancelled between a read and its lines.
            chunk = await reader.close()
            if not self.again:
                self.untaken = self._split(plain.feed(chunk))

    @property
    def cut_line(self) -> bytes:
        """The beginning of a line that was read and whose end was not, if what isn't taken is gone."""
        return b"" if self.again else self._splitter.begun

    def _split(self, pieces: Iterable[bytes]) -> list[Line]:
        return [line for piece in pieces for line in _not_empty(self._splitter.feed(piece))]


def file_input(path: Path) -> Input:
    """Open a file.

    Raises:
        ConfigurationError: it can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(0, "it is a directory")
    except OSError as error:
        raise ConfigurationError(f"--file: {path} can't be read: {error.strerror}") from error
    return Input(str(path), descriptor, again=is_file)


def standard_input() -> Input:
    """Return standard input.

    Raises:
        UnreadableInput: it is closed (then number 0 is soon some other file of this process).
    """
    if sys.stdin is None:
        raise UnreadableInput("standard input can't be read: it is closed")
    return Input("standard input", sys.stdin.fileno(), again=False)


class _Plain:
    """Takes off what comes before the text: a byte order mark, gzip."""

    def __init__(self, *, gzip_allowed: bool) -> None:
        self._gzip_allowed = gzip_allowed
        self._gzip: GzipStream | None = None
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if not self._begun and self._gzip_allowed and chunk.startswith(MAGIC):
            self._gzip = GzipStream()
        for piece in self._gzip.feed(chunk) if self._gzip else (chunk,):
            yield piece if self._begun else piece.removeprefix(BYTE_ORDER_MARK)
            self._begun = self._begun or bool(piece)

    def end(self) -> None:
        if self._gzip:
            self._gzip.end()


def _not_empty(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.content != b""]


def _size_bytes(descriptor: int) -> int | None:
    state = os.fstat(descriptor)
    return state.st_size if stat.S_ISREG(state.st_mode) else None
