"""Messages at even distances, whatever the waits really take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.pace import MAX_BEHIND_SECONDS, Pace


class Clock:
    """Moves when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        """The present time."""
        return self.now


@given(st.floats(1, 100_000), st.lists(st.floats(0, 0.01), min_size=10, max_size=300))
def test_the_rate_is_kept_though_each_wait_takes_longer(rate: float, delays: list[float]) -> None:
    """A delay is made up for by the next ones: after n messages n - 1 steps have passed, and no delay twice."""
    clock = Clock()
    pace = Pace(rate, clock)
    for delay in delays:
        clock.now += pace.wait_seconds() + min(delay, 1 / rate)
        pace.take(1)
    ideal = (len(delays) - 1) / rate
    assert ideal - 1e-6 <= clock.now - 100.0 <= ideal + 1 / rate + 1e-6


@given(st.integers(1, 100_000), st.lists(st.integers(0, 500), max_size=100))
def test_all_that_are_late_are_due(rate: int, lateness: list[int]) -> None:
    """The one behind them has to wait, and looking takes no turn."""
    clock = Clock()
    pace = Pace(rate, clock)
    for steps in (min(each, rate // 2) for each in lateness):
        clock.now += pace.wait_seconds() + (steps + 0.5) / rate
        assert pace.wait_seconds() == 0
        assert pace.due() == pace.due() == steps + 1
        pace.take(steps + 1)
        assert abs(pace.wait_seconds() - 0.5 / rate) < 1e-9


def test_an_outage_ends_in_no_burst() -> None:
    """No more than a second's worth is made up for."""
    clock = Clock()
    pace = Pace(10, clock)
    pace.take(1)
    clock.now += 60
    at_once = 0
    while pace.wait_seconds() == 0:
        at_once += 1
        pace.take(1)
    assert at_once == MAX_BEHIND_SECONDS * 10 + 1
