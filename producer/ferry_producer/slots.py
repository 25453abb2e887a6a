"""A bounded number of slots, handed over first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """What `asyncio.Semaphore` is, at constant cost a slot also when thousands wait.

    The semaphore looks through all waiters already woken at each release: 100,000 senders, 6,000 messages a second.
    """

    def __init__(self, number: int) -> None:
        self._number = self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._woken = 0

    @property
    def all_free(self) -> bool:
        """Whether nobody has one, nor waits for one."""
        return self._free == self._number

    def take(self, most: int = 1) -> int:
        """Take as many slots as are free, at most so many; none before those who wait already. Returns how many."""
        # Somebody woken who hasn't run yet came before, too: messages keep the order of their senders.
        number = 0 if self._waiting or self._woken else min(self._free, most)
        self._free -= number
        return number

    async def acquire(self) -> None:
        """Take a slot; waits behind those who came before."""
        if self.take():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._woken -= 1
                self.release()
            raise
        self._woken -= 1
        self._wake()

    def release(self, number: int = 1) -> None:
        """Give slots back: to who waits longest."""
        self._free += number
        self._wake()

    def _wake(self) -> None:
        while self._free and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._free -= 1
                self._woken += 1
                turn.set_result(None)
