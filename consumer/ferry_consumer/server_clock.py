"""Redis' clock, as far as it can be known here: the ledger's times are the server's, never a host's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerClock:
    """The server's time: its last word, and what has passed since by a clock that nobody sets."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ahead_ms = 0.0

    def set(self, server_now_ms: int) -> None:
        """Note what the server has just said; before that `now_ms` means nothing."""
        self._ahead_ms = server_now_ms - self._clock() * 1000

    def now_ms(self) -> int:
        """The server's time now, in milliseconds since 1970."""
        return int(self._clock() * 1000 + self._ahead_ms)
