"""What a person sees of a run: a line for each event, and on a terminal one that moves."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_REFRESH_SECONDS = 0.5
#: Where nothing can move, the present state is a line now and then.
_REPEAT_SECONDS = 15.0


class Display:
    """Writes to standard error; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status = self._console.status("starting Kafka, Valkey and Ferry ...")
        self._start = time.monotonic()
        self._over = threading.Event()
        self._state: Callable[[], str] = lambda: ""
        self._thread = threading.Thread(target=self._follow, name="display", daemon=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._status.stop()

    def tell(self, line: str) -> None:
        """Something has happened."""
        self._console.print(f"{time.monotonic() - self._start:7.1f} s  {line}", markup=False)

    def follow(self, state: Callable[[], str]) -> None:
        """From now on `state` says how far the run is."""
        self._state = state

    def _follow(self) -> None:
        told = time.monotonic()
        while not self._over.wait(_REFRESH_SECONDS):
            if self._console.is_terminal:
                self._status.update(escape(self._state()))
            elif time.monotonic() - told >= _REPEAT_SECONDS and (line := self._state()):
                told = time.monotonic()
                self.tell(line)
