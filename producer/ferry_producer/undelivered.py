"""`--undelivered FILE`: what was read and not acknowledged, line by line, ready to be sent again."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Self

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

logger = logging.getLogger("ferry.producer")


class UndeliveredFile:
    """Each line is written at once. A file in which nothing was written is gone at the end."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            ConfigurationError: it can't be written, or has content: that could be what a run before has left.
        """
        self._path = path
        try:
            self._file = path.open("ab", buffering=0)
            self._bytes = self._file.tell()
        except OSError as error:
            raise ConfigurationError(f"--undelivered: {path} can't be written: {error.strerror}") from error
        if self._bytes:
            self._file.close()
            raise ConfigurationError(f"--undelivered: {path} exists and isn't empty; send it first, or name another")
        self.lines = 0
        #: Lines that could not be written: they are in no file.
        self.failed = 0

    def __enter__(self) -> Self:
        """It is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._file.close()
        if not self._bytes:
            self._path.unlink(missing_ok=True)

    def add(self, content: bytes, end: bytes = b"\n") -> None:
        """Write one line; without `end` it is the beginning of one whose rest was not read."""
        line = content + end
        try:
            self._write(line)
        except OSError as error:
            if not self.failed:
                logger.error("%s can't be written: %s", self._path, error.strerror)  # noqa: TRY400 - says it all
            self.failed += 1
        else:
            self._bytes += len(line)
            self.lines += 1

    def _write(self, line: bytes) -> None:
        if self._file.write(line) < len(line):
            self._file.truncate(self._bytes)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
