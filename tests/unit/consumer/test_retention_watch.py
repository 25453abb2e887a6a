"""When the oldest message in flight is in danger of losing its record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.retention_watch import Danger, LogStart

STILL = LogStart(1000)
MOVED = STILL.seen(1500, 60_000)


def test_a_log_that_never_moved_endangers_nothing() -> None:
    """Also the very first record of a topic is safe while Kafka deletes nothing."""
    assert LogStart(0).danger(0, 5) is Danger.NONE
    assert STILL.seen(1000, 60_000).danger(1000, 5) is Danger.NONE


@pytest.mark.parametrize(
    ("lowest", "dispatched_ms", "danger"),
    [
        (None, 0, Danger.NONE),
        (1499, 5, Danger.PAST),
        (1500, 5, Danger.NEAR),
        (1999, 5, Danger.NEAR),
        (2000, 5, Danger.NONE),
        (1500, 60_001, Danger.NONE),
    ],
)
def test_what_outlived_a_step_and_would_not_outlive_the_next_is_near(
    lowest: int | None, dispatched_ms: int, danger: Danger
) -> None:
    """A message that was dispatched after the step is as young as the log: it is in no danger."""
    assert MOVED.danger(lowest, dispatched_ms) is danger


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), max_size=20), st.integers(0, 10**12))
def test_what_lies_below_the_start_is_past_whatever_came_before(start: int, steps: list[int], lowest: int) -> None:
    """However the log has moved."""
    seen = LogStart(start)
    for now_ms, step in enumerate(steps):
        seen = seen.seen(seen.offset + step, now_ms)
    assert (seen.danger(lowest, 0) is Danger.PAST) == (lowest < seen.offset)
    assert seen.offset == start + sum(steps)
