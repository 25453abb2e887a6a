"""How long to wait for more records, by what the last dispatches have found."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.linger import KNOWN_FOR_SECONDS, MAX_SECONDS, SECONDS_AN_ENTRY, SHARE_OF_WAIT, Linger

QUEUE, OTHER = "celery", "urgent"
START = 1_000.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    moved = [START]
    monkeypatch.setattr("ferry_consumer.linger.time.monotonic", lambda: moved[0])
    return moved


def behind(now: list[float], *queues: str) -> Linger:
    """Ten messages went into each queue, and ten more after 10 ms, in which none was taken."""
    linger = Linger()
    for queue in queues:
        linger.note_queue(queue, 50, 60, START)
        linger.note_queue(queue, 60, 70, START + 0.01)
    now[0] = START + 0.01
    return linger


def test_nothing_is_known_at_first(now: list[float]) -> None:
    """Neither before the first dispatch nor after it: how fast a queue is worked off, two tell."""
    linger = Linger()
    assert linger.seconds([QUEUE]) == 0

    linger.note_queue(QUEUE, 50, 60, START)
    assert linger.seconds([QUEUE]) == 0


def test_it_is_half_of_what_a_message_waits_in_its_queue(now: list[float]) -> None:
    """Of 60 messages 20 were taken in 10 ms: the 40 that are left take 20 ms."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 60, START)
    linger.note_queue(QUEUE, 40, 42, START + 0.01)

    assert linger.seconds([QUEUE]) == pytest.approx(0.01)


def test_an_empty_queue_is_not_waited_for(now: list[float]) -> None:
    """A worker is free."""
    linger = behind(now, QUEUE)
    linger.note_queue(QUEUE, 0, 10, START + 0.02)

    assert linger.seconds([QUEUE]) == 0


@pytest.mark.parametrize("before", [3, 5])
def test_one_that_nobody_takes_from_is_judged_by_the_time_so_far(now: list[float], before: int) -> None:
    """As though one had been taken, also where others add to it: so one busy moment isn't a queue that stands still."""
    linger = Linger()
    linger.note_queue(QUEUE, 2, 3, START)
    linger.note_queue(QUEUE, before, before + 1, START + 0.002)

    assert linger.seconds([QUEUE]) == pytest.approx(before * 0.002 * SHARE_OF_WAIT)


@pytest.mark.parametrize(("pushed", "seconds"), [(1, 0.0), (2, 0.01)])
def test_nothing_is_waited_for_that_would_not_come(now: list[float], pushed: int, seconds: float) -> None:
    """At one message in 20 ms none comes in 10; at two one does."""
    linger = Linger()
    linger.note_queue(QUEUE, 0, 1, START)
    linger.note_queue(QUEUE, 1, 1 + pushed, START + 0.02)

    assert linger.seconds([QUEUE]) == pytest.approx(seconds)


def test_what_is_known_grows_old(now: list[float]) -> None:
    """Where little arrives, nothing waits: neither later, nor for a pace that is measured over a pause."""
    linger = behind(now, QUEUE)
    assert linger.seconds([QUEUE]) == MAX_SECONDS

    now[0] += KNOWN_FOR_SECONDS
    assert linger.seconds([QUEUE]) == 0
    linger.note_queue(QUEUE, 60, 70, now[0])
    assert linger.seconds([QUEUE]) == 0


def test_no_queue_waits_for_the_sake_of_another(now: list[float]) -> None:
    """A message for an empty queue, or for one that nothing is known of, goes at once."""
    linger = behind(now, QUEUE)

    assert linger.seconds([QUEUE, OTHER]) == 0
    linger.note_queue(OTHER, 0, 1, START + 0.01)
    assert linger.seconds([QUEUE, OTHER]) == 0
    assert linger.seconds([QUEUE]) == MAX_SECONDS
    assert linger.seconds([]) == 0
    assert behind(now, QUEUE, OTHER).seconds([QUEUE, OTHER]) == MAX_SECONDS


def test_where_batches_go_out_their_rule_holds_for_all(now: list[float]) -> None:
    """Until nothing is known of them any more."""
    linger = behind(now, QUEUE)
    linger.note_entries(2, now[0])
    assert linger.seconds([QUEUE]) == linger.seconds([OTHER]) == 2 * SECONDS_AN_ENTRY

    now[0] += KNOWN_FOR_SECONDS
    assert linger.seconds([QUEUE]) == linger.seconds([OTHER]) == 0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10**6), st.integers(0, 1_000)), max_size=20),
    st.lists(st.integers(0, 10**4), max_size=3),
)
def test_it_is_never_negative_nor_too_long(dispatches: list[tuple[float, int, int]], entries: list[int]) -> None:
    """Whatever other consumers, tasks and workers do to the queue, and whenever."""
    linger, at = Linger(), time.monotonic()
    for elapsed, before, pushed in dispatches:
        at += elapsed
        linger.note_queue(QUEUE, before, before + pushed, at)
        assert 0 <= linger.seconds([QUEUE]) <= MAX_SECONDS
    for waiting in entries:
        linger.note_entries(waiting, at)
        assert 0 <= linger.seconds([QUEUE]) <= MAX_SECONDS
