"""An event loop for kombu's Redis transport, which asks more of it than it needs."""

from __future__ import annotations

import time
from typing import Any

REGISTER_AGAIN_SECONDS = 1.0


class SparingLoop:
    """The worker's loop; kombu registers at each turn what it reads already, which is a system call each time.

    Here it is done once a second, in case a descriptor was closed and opened again unnoticed.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._due: dict[int, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def add_reader(self, descriptor: int, *callback: Any) -> None:
        """Have the loop call back when there is something to read."""
        now = time.monotonic()
        if descriptor not in self._loop.readers or now >= self._due.get(descriptor, 0.0):
            self._due[descriptor] = now + REGISTER_AGAIN_SECONDS
            self._loop.add_reader(descriptor, *callback)
