"""How long to wait for more records, by what the last dispatches have found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.linger import KNOWN_FOR_SECONDS, MAX_SECONDS, SHARE_OF_WAIT, Linger

QUEUE, OTHER = "celery", "urgent"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    time = [1_000.0]
    monkeypatch.setattr("ferry_consumer.linger.time.monotonic", lambda: time[0])
    return time


def test_nothing_is_known_at_first(now: list[float]) -> None:
    """Neither before the first dispatch nor after it: how fast a queue is worked off, two tell."""
    linger = Linger()
    assert linger.seconds([QUEUE]) == 0

    linger.note_queue(QUEUE, 50, 60)
    assert linger.seconds([QUEUE]) == 0


def test_it_is_half_of_what_a_message_waits_in_its_queue(now: list[float]) -> None:
    """Of 60 messages 20 were taken in 10 ms: the 40 that are left take 20 ms."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 60)
    now[0] += 0.01
    linger.note_queue(QUEUE, 40, 41)

    assert linger.seconds([QUEUE]) == pytest.approx(0.01)


def test_an_empty_queue_is_not_waited_for(now: list[float]) -> None:
    """A worker is free."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 60)
    now[0] += 0.01
    linger.note_queue(QUEUE, 0, 1)

    assert linger.seconds([QUEUE]) == 0


@pytest.mark.parametrize("before", [3, 5])
def test_one_that_nobody_takes_from_is_judged_by_the_time_so_far(now: list[float], before: int) -> None:
    """As though one had been taken, also where others add to it: so one busy moment isn't a queue that stands still."""
    linger = Linger()
    linger.note_queue(QUEUE, 2, 3)
    now[0] += 0.002
    linger.note_queue(QUEUE, before, before + 1)

    assert linger.seconds([QUEUE]) == pytest.approx(before * 0.002 * SHARE_OF_WAIT)


def test_what_is_known_grows_old(now: list[float]) -> None:
    """Where little arrives, nothing waits."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 60)
    now[0] += 0.01
    linger.note_queue(QUEUE, 60, 61)
    assert linger.seconds([QUEUE]) == MAX_SECONDS

    now[0] += KNOWN_FOR_SECONDS
    assert linger.seconds([QUEUE]) == 0


def test_no_queue_waits_for_the_sake_of_another(now: list[float]) -> None:
    """A message for an empty queue, or for one that nothing is known of, goes at once."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 60)
    now[0] += 0.01
    linger.note_queue(QUEUE, 60, 61)

    assert linger.seconds([QUEUE, OTHER]) == 0
    linger.note_queue(OTHER, 0, 1)
    assert linger.seconds([QUEUE, OTHER]) == 0
    assert linger.seconds([QUEUE]) == MAX_SECONDS
    assert linger.seconds([]) == 0


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 1_000)), max_size=20),
    st.lists(st.integers(0, 10**4), max_size=3),
)
def test_it_is_never_negative_nor_too_long(dispatches: list[tuple[int, int]], entries: list[int]) -> None:
    """Whatever other consumers, tasks and workers do to the queue."""
    linger = Linger()
    for before, pushed in dispatches:
        linger.note_queue(QUEUE, before, before + pushed)
        assert 0 <= linger.seconds([QUEUE]) <= MAX_SECONDS
    for waiting in entries:
        linger.note_entries(waiting)
        assert 0 <= linger.seconds([QUEUE]) <= MAX_SECONDS
