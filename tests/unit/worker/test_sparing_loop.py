"""The event loop as kombu's transport gets it."""

import os
from collections.abc import Iterator

import pytest
from kombu.asynchronous import Hub

from ferry_worker.sparing_loop import REGISTER_AGAIN_SECONDS, SparingLoop


@pytest.fixture
def descriptor() -> Iterator[int]:
    """One that can be read from."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A worker's loop."""
    hub = Hub()
    yield hub
    hub.close()


def test_what_it_reads_already_is_registered_once_a_second(
    hub: Hub, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at once where it isn't read any more."""
    now = [100.0]
    monkeypatch.setattr("ferry_worker.sparing_loop.time.monotonic", lambda: now[0])
    registered: list[int] = []
    register = hub.poller.register

    def note(descriptor: int, events: int) -> None:
        registered.append(descriptor)
        register(descriptor, events)

    monkeypatch.setattr(hub.poller, "register", note)
    loop = SparingLoop(hub)
    for _ in range(5):
        loop.add_reader(descriptor, print, descriptor)
    assert registered == [descriptor]
    assert hub.readers[descriptor] == (print, (descriptor,))

    loop.remove_reader(descriptor)
    loop.add_reader(descriptor, print, descriptor)
    assert registered == [descriptor] * 2
    now[0] += REGISTER_AGAIN_SECONDS
    loop.add_reader(descriptor, print, descriptor)
    assert registered == [descriptor] * 3


def test_all_else_is_the_loops(hub: Hub) -> None:
    """Its timers, its callbacks of each turn."""
    loop = SparingLoop(hub)
    assert (loop.on_tick, loop.timer, loop.poller) == (hub.on_tick, hub.timer, hub.poller)
