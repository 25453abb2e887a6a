"""What a person sees of a run: a line for each event, and on a terminal one that moves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape

from tests.chaos.repeatedly import repeatedly

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
        self._start = self._told = time.monotonic()
        self._state: Callable[[], str] = lambda: ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        self._stack.callback(self._status.stop)
        self._stack.enter_context(repeatedly("display", _REFRESH_SECONDS, self._refresh))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tell(self, line: str) -> None:
        """Something has happened."""
        self._console.print(f"{time.monotonic() - self._start:7.1f} s  {line}", markup=False)

    def follow(self, state: Callable[[], str]) -> None:
        """From now on `state` says how far the run is."""
        self._state = state

    def _refresh(self) -> None:
        if self._console.is_terminal:
            self._status.update(escape(self._state()))
        elif time.monotonic() - self._told >= _REPEAT_SECONDS and (line := self._state()):
            self._told = time.monotonic()
            self.tell(line)
