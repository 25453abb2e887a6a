"""One look for everybody: while somebody watches, a source is asked again and again, and all get the same answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ferry_console.page.events import Event

#: Of one core: a look that takes 40 ms comes every two seconds at most.
CPU_SHARE = 0.02
#: How long watchers may not notice that the server is about to end.
STOP_CHECK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """An answer, and in how many seconds to look again."""

    event: Event
    again_seconds: float


class Broadcast:
    """Asks `look` in a thread, one call at a time, and never while nobody watches.

    `greeting` tells what a new watcher must know first. `is_stopping` ends everything. `rest` is called when nobody
    watches any more; looks can follow.
    """

    def __init__(
        self,
        look: Callable[[], Look],
        greeting: Callable[[], Event | None] = lambda: None,
        is_stopping: Callable[[], bool] = lambda: False,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._look = look
        self._greeting = greeting
        self._is_stopping = is_stopping
        self._rest = rest
        self._watchers = 0
        self._latest: Event | None = None
        self._news = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._watchers

    async def watch(self) -> AsyncIterator[Event]:
        """Every answer that isn't the same as before, the latest first; a slow watcher misses some."""
        self._watchers += 1
        if self._asking is None or self._asking.done():
            self._latest = None
            self._asking = asyncio.create_task(self._ask())
        try:
            if greeting := self._greeting():
                yield greeting
            seen: Event | None = None
            while not self._is_stopping():
                if self._asking.done() and self._latest is seen:
                    # It has ended by itself: with the last event, or with an error, which is raised here.
                    self._asking.result()
                    return
                event, news = self._latest, self._news
                if event is not None and event is not seen:
                    seen = event
                    yield event
                    if event.is_last:
                        return
                    continue
                await self._wait(news)
        finally:
            self._watchers -= 1

    async def _wait(self, news: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(news.wait(), STOP_CHECK_SECONDS)
        except TimeoutError:
            return

    async def _ask(self) -> None:
        """Look until nobody watches, or nothing more can come."""
        try:
            while self._watchers and not self._is_stopping():
                await self._look_until_left()
                await asyncio.to_thread(self._rest)
                if self._latest is not None and self._latest.is_last:
                    return
        finally:
            self._tell()

    async def _look_until_left(self) -> None:
        while self._watchers and not self._is_stopping():
            look, cpu_seconds = await asyncio.to_thread(_timed, self._look)
            if look.event != self._latest:
                self._latest = look.event
                self._tell()
            if look.event.is_last:
                return
            await asyncio.sleep(max(look.again_seconds, cpu_seconds / CPU_SHARE))

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _timed(look: Callable[[], Look]) -> tuple[Look, float]:
    """Look, and put it in words, which can take as long."""
    began = time.thread_time()
    found = look()
    _ = found.event.frame
    return found, time.thread_time() - began
