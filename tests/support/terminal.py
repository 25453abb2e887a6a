"""A program on a terminal of its own: what it shows, and what is typed."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

#: Of a failed wait; a bar that is drawn again and again is long.
_TOLD_CHARACTERS = 2_000


class Terminal:
    """Runs a program whose standard streams are a terminal of 100 columns; `shown` is all that it has written."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.shown = b""
        self._parent, child = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        )  # fmt: skip
        os.close(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._parent)

    @property
    def text(self) -> str:
        """What was shown, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown.decode(errors="replace")).replace("\r", "")

    def wait_for(self, pattern: str, timeout_seconds: float = 30.0) -> None:
        """Wait until the regular expression is found in the text."""
        deadline = time.monotonic() + timeout_seconds
        while re.search(pattern, self.text) is None:
            assert time.monotonic() < deadline, self.text[-_TOLD_CHARACTERS:]
            assert self._read() or re.search(pattern, self.text), self.text[-_TOLD_CHARACTERS:]

    def type(self, text: str) -> None:
        """As somebody at the keyboard."""
        os.write(self._parent, text.encode())

    def end(self, timeout_seconds: float = 30.0) -> int:
        """Wait for its end; returns the exit code."""
        deadline = time.monotonic() + timeout_seconds
        while self._read():
            assert time.monotonic() < deadline, self.text[-_TOLD_CHARACTERS:]
        return self.process.wait(timeout_seconds)

    def _read(self) -> bool:
        """Take in what comes within a moment; False at the end of the terminal."""
        if not select.select([self._parent], [], [], 0.1)[0]:
            return True
        try:
            more = os.read(self._parent, 65_536)
        except OSError:  # Linux says EIO at the end of a terminal.
            return False
        self.shown += more
        return bool(more)
