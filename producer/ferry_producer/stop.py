"""Ctrl-C and SIGTERM: the first asks to stop reading and to finish, a second or 5 seconds end the wait."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Self, TypeVar

from ferry_shared.errors import FerryError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")
#: Ctrl-C, an orchestrator, a terminal that was closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(FerryError):
    """A signal came."""


class Stop:
    """Listens to signals inside its `with` block."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._urged = asyncio.Event()
        self.signal: signal.Signals | None = None

    def __enter__(self) -> Self:
        """Listen, except to what is ignored (`nohup`)."""
        for each in SIGNALS:
            if signal.getsignal(each) is not signal.SIG_IGN:
                self._loop.add_signal_handler(each, self.ask, each)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no longer. After a signal the loop goes on listening until it is closed: the account is to be told."""
        if not self.asked:
            for each in SIGNALS:
                self._loop.remove_signal_handler(each)

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._asked.is_set()

    def check(self) -> None:
        """Go on only if no signal came.

        Raises:
            Stopped: one did.
        """
        if self.asked:
            raise Stopped

    def ask(self, number: signal.Signals) -> None:
        """Take a signal."""
        if self._asked.is_set():
            self._urged.set()
            return
        self.signal = number
        self._asked.set()
        self._loop.call_later(self._grace_seconds, self._urged.set)

    async def unless_asked(self, work: Coroutine[object, object, T]) -> T:
        """Do `work`; it is cancelled when a signal comes.

        Raises:
            Stopped: a signal came first.
        """
        return await _unless(self._asked, work)

    async def unless_urged(self, work: Coroutine[object, object, T]) -> T:
        """Do `work`; it is cancelled at a second signal, or when the time after the first is over.

        Raises:
            Stopped: it was.
        """
        return await _unless(self._urged, work)

    async def sleep(self, seconds: float) -> None:
        """Wait, or until a signal comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            pass


async def _unless(event: asyncio.Event, work: Coroutine[object, object, T]) -> T:
    task, waiter = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        waiter.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
