"""`--undelivered FILE`: what was read and not acknowledged, line by line, ready to be sent again."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, Self

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

logger = logging.getLogger("ferry.producer")

#: How long a pipe's reader may take to read something. Meanwhile nothing else goes on: nothing may be lost instead.
MOST_WAIT_SECONDS = 10.0


class UndeliveredFile:
    """Each line is written at once. A file in which nothing was written is gone at the end."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            ConfigurationError: it can't be written, or has content: that could be what a run before has left.
        """
        self._path = path
        try:
            self._file, self._made = _locked(path)
            self._bytes = os.fstat(self._file.fileno()).st_size
        except BlockingIOError:
            raise ConfigurationError(f"--undelivered: another run writes to {path}; name another") from None
        except OSError as error:
            raise ConfigurationError(f"--undelivered: {path} can't be written: {error.strerror}") from error
        if self._bytes:
            self._file.close()
            raise ConfigurationError(f"--undelivered: {path} exists and isn't empty; send it first, or name another")
        self.lines = 0
        #: Lines that could not be written: they are in no file.
        self.failed = 0
        self._given_up = False

    def __enter__(self) -> Self:
        """It is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        # What was there before, a device or a link, isn't ours to remove; and as long as it is open nobody else has it.
        if self._made and not self._bytes:
            with suppress(OSError):
                self._path.unlink()
        self._file.close()

    def add(self, content: bytes, end: bytes = b"\n") -> bool:
        """Write one line; without `end` it is the beginning of one whose rest was not read. False: it isn't there."""
        line = content + end
        try:
            self._write(line)
        except OSError as error:
            if not self.failed:
                logger.error("%s can't be written: %s", self._path, error.strerror)  # noqa: TRY400 - says it all
            self.failed += 1
            return False
        self._bytes += len(line)
        self.lines += 1
        return True

    def _write(self, line: bytes) -> None:
        if self._given_up:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        left = line
        try:
            while left:
                left = left[self._write_some(left) :]
        except OSError:
            self._take_back()
            raise

    def _write_some(self, content: bytes) -> int:
        """Returns how many bytes; a pipe's reader that is slower than the lines come is waited for."""
        written: int | None = self._file.write(content)
        if written is None:
            if not select.select([], [self._file], [], MOST_WAIT_SECONDS)[1]:
                raise TimeoutError(errno.ETIMEDOUT, f"nobody has read from it for {MOST_WAIT_SECONDS:.0f} s")
            return 0
        return written

    def _take_back(self) -> None:
        """Nothing of a line that doesn't fit stays; where nothing can be taken back, as from a pipe, none follows."""
        try:
            self._file.truncate(self._bytes)
        except OSError:
            self._given_up = True


def _locked(path: Path) -> tuple[FileIO, bool]:
    """The file, and whether it is new. Raises BlockingIOError when another run has it, and other OSErrors."""
    while True:
        file, made = _opened(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                return file, made
        except OSError:
            file.close()
            raise
        # Whoever had it took it away before the lock was ours: what is written there nobody would find.
        file.close()


def _is_at(path: Path, file: FileIO) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def _opened(path: Path) -> tuple[FileIO, bool]:
    """The file, and whether it is new. Not blocking: a FIFO without a reader is an error, no wait."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return FileIO(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), "ab"), True
    except FileExistsError:
        return FileIO(os.open(path, flags), "ab"), False
