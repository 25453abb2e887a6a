"""What the garbage collector needn't look through in a worker."""

import gc
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery import signals
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Entry

from ferry_worker import standstill
from ferry_worker.standstill import FEW_TIMERS, CancelledTimers


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A worker's loop, whose timers are looked at often."""
    monkeypatch.setattr(standstill, "LOOK_EVERY_SECONDS", 0.001)
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def consumer(hub: Hub) -> SimpleNamespace:
    """What a step gets of Celery's consumer."""
    return SimpleNamespace(timer=hub.timer)


@pytest.fixture
def _own_heap() -> Iterator[None]:
    """The tests' own heap is looked through again."""
    yield
    gc.unfreeze()


def timers(hub: Hub, count: int, *, cancelled: bool) -> list[Entry]:
    """Timers such as time limits, far away."""
    entries = [hub.call_later(300 + number, list) for number in range(count)]
    if cancelled:
        for entry in entries:
            entry.cancel()
    return entries


def turn(hub: Hub) -> None:
    """Let what is due happen."""
    time.sleep(0.01)
    hub.fire_timers(max_timers=3)


def test_cancelled_timers_are_forgotten(hub: Hub, consumer: SimpleNamespace) -> None:
    """And the others keep their order: the first of them fires first."""
    CancelledTimers(consumer).start(consumer)
    timers(hub, FEW_TIMERS, cancelled=True)
    running = timers(hub, 20, cancelled=False)
    fired: list[str] = []
    hub.call_later(0.6, fired.append, "second")
    hub.call_later(0.5, fired.append, "first")
    turn(hub)
    assert len(hub.timer) == len(running) + 3
    time.sleep(0.6)
    turn(hub)
    assert fired == ["first", "second"]
    assert [event.entry for event in hub.timer.queue if event.entry in running] == running


def test_many_that_run_are_not_looked_through_again_and_again(hub: Hub, consumer: SimpleNamespace) -> None:
    """Only when as many have come as there were."""
    step = CancelledTimers(consumer)
    step.start(consumer)
    timers(hub, 2 * FEW_TIMERS, cancelled=False)
    turn(hub)
    timers(hub, FEW_TIMERS, cancelled=True)
    turn(hub)
    assert len(hub.timer) == 3 * FEW_TIMERS + 1
    timers(hub, 2 * FEW_TIMERS, cancelled=True)
    turn(hub)
    assert len(hub.timer) == 2 * FEW_TIMERS + 1


def test_it_ends_with_the_connection_and_begins_again(hub: Hub, consumer: SimpleNamespace) -> None:
    """Without one of the same left behind."""
    step = CancelledTimers(consumer)
    step.stop(consumer)
    for _ in range(2):
        step.start(consumer)
        step.stop(consumer)
    assert all(event.entry.canceled for event in hub.timer.queue)


def test_a_pool_without_an_event_loop_has_no_such_timers() -> None:
    """Its timers are of another kind."""
    consumer = SimpleNamespace(timer=object())
    step = CancelledTimers(consumer)
    step.start(consumer)
    assert step._timer is None


@pytest.mark.usefixtures("_own_heap")
@pytest.mark.parametrize("signal", [signals.worker_ready, signals.worker_process_init])
def test_what_was_loaded_is_left_out(signal: signals.Signal) -> None:
    """In the parent when it is ready, and in each of its processes."""
    gc.unfreeze()
    signal.send(sender=None)
    assert gc.get_freeze_count() > 10_000
