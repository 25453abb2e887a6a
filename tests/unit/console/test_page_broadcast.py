"""One look for everybody, and none for nobody."""

import asyncio
from collections.abc import Callable

import pytest

from ferry_console.page.broadcast import Broadcast, Look
from ferry_console.page.events import Event


class Source:
    """Counts looks; the number of each is its answer."""

    def __init__(self, last: int | None = None) -> None:
        self.looks = 0
        self._last = last

    def look(self) -> Look:
        """One more."""
        self.looks += 1
        return Look(Event("look", self.looks, is_last=self.looks == self._last), 0.001)


async def heard(broadcast: Broadcast, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Watch until enough was heard."""
    events: list[Event] = []
    watching = broadcast.watch()
    async for event in watching:
        events.append(event)
        if enough(events):
            break
    await watching.aclose()  # type: ignore[attr-defined]
    return events


async def settled(broadcast: Broadcast, source: Source) -> int:
    """How many looks there were when the last one had ended."""
    assert broadcast.watchers == 0
    before = -1
    while before != source.looks:
        before = source.looks
        await asyncio.sleep(0.05)
    return before


async def test_all_get_the_same_looks() -> None:
    """Five watchers cost no more than one: each look is heard by all who are quick enough, in order, at most once."""
    source = Source()
    broadcast = Broadcast(source.look)
    everybody = await asyncio.gather(*(heard(broadcast, lambda events: len(events) == 5) for _ in range(5)))
    for events in everybody:
        numbers = [event.document for event in events]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] <= source.looks
    assert source.looks <= 10, "looks are shared, not made for each"


async def test_nobody_watches_nothing_is_asked() -> None:
    """Not before the first watcher, and not after the last; whoever comes later gets a look of then."""
    source = Source()
    broadcast = Broadcast(source.look)
    assert await settled(broadcast, source) == 0
    await heard(broadcast, lambda events: len(events) == 2)
    looks = await settled(broadcast, source)
    assert looks in {2, 3}
    (event,) = await heard(broadcast, lambda events: len(events) == 1)
    assert event.document == looks + 1


async def test_a_greeting_comes_first() -> None:
    """Before any look."""
    source = Source()
    broadcast = Broadcast(source.look, lambda: Event("history", source.looks))
    events = await heard(broadcast, lambda events: len(events) == 2)
    assert [(event.name, event.document) for event in events] == [("history", 0), ("look", 1)]


async def test_the_last_event_ends_it() -> None:
    """For everybody, and nothing is asked after it."""
    source = Source(last=3)
    broadcast = Broadcast(source.look)
    first, second = await asyncio.gather(heard(broadcast, lambda _: False), heard(broadcast, lambda _: False))
    assert first[-1].document == second[-1].document == 3
    assert await settled(broadcast, source) == 3


async def test_a_stop_ends_it() -> None:
    """Within a moment, though nothing is told."""
    stopping = False
    broadcast = Broadcast(lambda: Look(Event("look", 1), 3600.0), is_stopping=lambda: stopping)
    watching = asyncio.create_task(heard(broadcast, lambda _: False))
    await asyncio.sleep(0.05)
    assert not watching.done()
    stopping = True
    assert [event.document for event in await asyncio.wait_for(watching, 5)] == [1]


async def test_an_error_that_nobody_foresaw_reaches_the_watchers() -> None:
    """It is raised, not swallowed; the next watcher makes it look again."""
    looks = 0

    def look() -> Look:
        nonlocal looks
        looks += 1
        raise RuntimeError("a bug")

    broadcast = Broadcast(look)
    for number in (1, 2):
        with pytest.raises(RuntimeError, match="a bug"):
            await heard(broadcast, lambda _: False)
        assert looks == number
    assert broadcast.watchers == 0


async def test_costly_looks_come_less_often() -> None:
    """A look that takes CPU time for long waits fifty times as long."""
    looks = 0

    def look() -> Look:
        nonlocal looks
        looks += 1
        _ = sum(number * number for number in range(300_000))
        return Look(Event("look", looks), 0.0)

    broadcast = Broadcast(look)
    watching = asyncio.create_task(heard(broadcast, lambda _: False))
    await asyncio.sleep(0.4)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert looks == 1
