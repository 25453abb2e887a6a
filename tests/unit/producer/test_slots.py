"""Slots are never given twice, never lost, and go to whoever waits longest."""

from __future__ import annotations

import asyncio
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ferry_producer.slots import Slots

#: 100,000 waiters need 0.6 s; with `asyncio.Semaphore` they need more than 15.
MANY_SECONDS = 8.0


class Holders:
    """Tasks that want a slot, in the order in which they came."""

    def __init__(self, number: int) -> None:
        self.slots = Slots(number)
        self.holding: list[int] = []
        self.served: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self) -> None:
        """One more wants a slot."""
        self.tasks.append(asyncio.create_task(self._take(len(self.tasks))))

    async def _take(self, name: int) -> None:
        await self.slots.acquire()
        self.holding.append(name)
        self.served.append(name)

    def leave(self) -> None:
        """The first holder gives its slot back."""
        if self.holding:
            self.holding.pop(0)
            self.slots.release()

    def give_up(self) -> None:
        """The last who came goes, whether it waits, was just handed a slot, or holds one."""
        if self.tasks:
            self.tasks[-1].cancel()


async def turn() -> None:
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def play(number: int, steps: str) -> None:
    """Do the steps; between two the tasks run only where the steps say so."""
    holders = Holders(number)
    for step in steps:
        match step:
            case "c":
                holders.come()
            case "l":
                holders.leave()
            case "g":
                holders.give_up()
            case _:
                await turn()
                assert len(holders.holding) == number or all(task.done() for task in holders.tasks)
        assert len(holders.holding) <= number
    await turn()
    while holders.holding:
        holders.leave()
        await turn()
    assert all(task.done() for task in holders.tasks)
    assert holders.served == sorted(holders.served)
    for _ in range(number):
        holders.come()
    await turn()
    assert len(holders.holding) == number


@example(1, "c.c.lg.")  # handed a slot and cancelled before it runs
@example(2, "c.c.c.cll.")  # comes while an earlier one is handed a slot and has not run
@settings(max_examples=300, deadline=None)
@given(st.integers(1, 4), st.text("clg.", max_size=40))
def test_slots(number: int, steps: str) -> None:
    """Whoever comes, leaves or gives up: at most `number` hold a slot, in order, and in the end all are free."""
    asyncio.run(play(number, steps))


@given(st.integers(0, 9), st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_many_at_once(number: int, steps: list[tuple[int, bool]]) -> None:
    """Never more than are free, and what was given back can be taken again."""
    slots, held = Slots(number), 0
    for wanted, back in steps:
        if back:
            slots.release(given := min(wanted, held))
            held -= given
        else:
            taken = slots.take(wanted)
            assert taken == min(wanted, number - held)
            held += taken


async def test_none_is_taken_before_those_who_wait() -> None:
    """Also if one is free for a moment: it belongs to who waited."""
    slots = Slots(1)
    assert slots.take(5) == 1
    waiting = asyncio.create_task(slots.acquire())
    await turn()
    slots.release()
    assert slots.take() == 0
    await waiting
    slots.release()
    assert slots.take() == 1


async def test_thousands_may_wait() -> None:
    """A slot costs the same however many wait."""
    slots = Slots(10_000)
    started = time.process_time()
    tasks = [asyncio.create_task(slots.acquire()) for _ in range(100_000)]
    for _ in range(10):
        await turn()
        for _ in range(10_000):
            slots.release()
    await asyncio.gather(*tasks)
    assert time.process_time() - started < MANY_SECONDS
