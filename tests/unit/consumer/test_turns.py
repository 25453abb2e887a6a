"""When work is due, and how long trouble makes it wait."""

import logging

import pytest

from ferry_consumer.server_clock import ServerClock
from ferry_consumer.trouble import REPEAT_AFTER_SECONDS, Trouble
from ferry_consumer.turns import Backoff, Every, poll_seconds
from ferry_shared.errors import RedisUnavailable


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_due_at_once_and_then_once_per_interval() -> None:
    """Also when it was asked for late."""
    clock = Clock()
    every = Every(5, clock)
    assert (every.is_due(), every.is_due(), every.seconds_left) == (True, False, 5)
    clock.now = 12
    assert (every.is_due(), every.seconds_left) == (True, 5)


def test_the_wait_doubles_up_to_its_longest_and_starts_anew() -> None:
    """And success ends it, telling how long the trouble lasted."""
    clock = Clock()
    backoff = Backoff(1.0, 0.25, clock)
    waits = []
    for _ in range(4):
        backoff.failed()
        start = clock.now
        while backoff.blocked:
            clock.now += 0.125
        waits.append(clock.now - start)
    assert waits == [0.25, 0.5, 1.0, 1.0]
    assert backoff.worked() == pytest.approx(clock.now)
    assert (backoff.worked(), backoff.blocked) == (None, False)


def test_trouble_is_told_once_a_while_and_its_end_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at every try."""
    monkeypatch.setattr(logging.getLogger("ferry.consumer"), "propagate", True)
    caplog.set_level(logging.INFO, "ferry.consumer")
    clock = Clock()
    trouble = Trouble(1.0, clock)
    for _ in range(10):
        trouble.met(RedisUnavailable("Redis: connection refused"))
    assert len(caplog.records) == 1
    clock.now += REPEAT_AFTER_SECONDS
    trouble.met(RedisUnavailable("Redis: connection refused"))
    assert len(caplog.records) == 2
    assert (trouble.over(), trouble.over()) == (True, False)
    assert caplog.messages[-1] == "going on after 30.0 s of trouble"


def test_the_servers_time_goes_on_whatever_the_hosts_clock_does() -> None:
    """Times of the ledger are Redis' own: a host that is an hour ahead must not age every message."""
    clock = Clock()
    server = ServerClock(clock)
    server.set(1_000_000)
    clock.now = 2.5
    assert server.now_ms() == 1_002_500


@pytest.mark.parametrize(
    ("until_next_turn", "blocked", "replies", "seconds"),
    [(9.0, False, False, 0.25), (0.1, False, False, 0.1), (9.0, False, True, 0.0), (0.0, True, True, 0.1)],
)
def test_how_long_a_poll_waits(until_next_turn: float, blocked: bool, replies: bool, seconds: float) -> None:
    """Replies are read at once; but while a server is away nothing is, and the loop must not spin."""
    assert poll_seconds(until_next_turn, blocked=blocked, replies=replies) == seconds
