"""A bounded number of slots, handed over first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """What `asyncio.Semaphore` is, at constant cost a slot also when thousands wait.

    The semaphore looks through all waiters already woken at each release: 100,000 senders, 6,000 messages a second.
    """

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take a slot; waits behind those who came before."""
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back: to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
