"""A group's status as data: what is now comes from the ledger, what is old is known to be old."""

from dataclasses import replace

import pytest
from hypothesis import given

from ferry_console.status.group_status import GroupStatus, PauseView, silent_after_seconds
from ferry_shared.ledger.pauses import Pause, PauseCause
from ferry_shared.record import TopicPartition
from tests.unit.console.status_views import ABSENT, NOW_MS, SILENT_AFTER, head, ledger, status, statuses, word


def test_numbers_are_the_ledgers_and_not_the_consumers() -> None:
    """A dead consumer's word is old; what the ledger holds is not."""
    (view,) = status(ledger(restored=8, rewound=9)).partitions
    assert (view.position, view.committed, view.in_flight) == (90, 60, 30)
    assert (view.dead_letters, view.restored, view.rewound) == (4, 8, 9)
    assert (view.oldest, view.oldest_seconds) == ("orders-0-60", 2.5)
    assert (view.log_end, view.consumer, view.word_age_seconds) == (100, "host:1", 1.0)
    assert (view.backlog, view.lag) == (40, 40)


def test_a_log_end_that_the_position_has_passed_is_the_position() -> None:
    """The consumer wrote it before it dispatched more."""
    (view,) = status(ledger(position=120)).partitions
    assert (view.log_end, view.backlog) == (120, 30)


def test_without_a_word_the_log_end_is_not_known() -> None:
    """The backlog is then at least what is in flight, and the partition is silent."""
    (view,) = status(ledger(), words=[]).partitions
    assert (view.log_end, view.backlog, view.word_age_seconds, view.silent) == (None, 30, None, True)
    (view,) = status(ledger(), words=[word(log_end=-1)]).partitions
    assert (view.log_end, view.silent) == (None, False)


@pytest.mark.parametrize(("age", "silent"), [(-3.0, False), (0.0, False), (15.0, False), (15.1, True), (999.0, True)])
def test_who_says_nothing_is_silent(age: float, silent: bool) -> None:
    """A consumer whose clock is ahead isn't."""
    found = status(ledger(), words=[word(age)])
    assert (found.partitions[0].silent, found.is_served, found.consumers) == (silent, not silent, not silent)
    assert found.partitions[0].word_age_seconds == max(0.0, age)


def test_how_long_a_consumer_may_be_silent() -> None:
    """A few of its intervals, and never less than a rebalance takes."""
    assert [silent_after_seconds(interval) for interval in (0.1, 5, 60)] == [15, 15, 180]


def test_nobody_serves_a_group_without_partitions() -> None:
    """Nothing to be silent about is not fine either."""
    assert not status().is_served
    assert not status(ledger(), ABSENT, words=[word()]).is_served
    assert status(ledger(), ABSENT).is_served


def test_a_pause_that_is_written_down_says_who_and_when() -> None:
    """The partition's own goes before its topic's, and both before what the consumer said."""
    topic = Pause("ann", NOW_MS - 5, "holidays")
    own = Pause("ferry", NOW_MS - 9, "9 of 10 invalid", PauseCause.DEAD_LETTER_LIMIT)
    found = status(ledger(), ledger(), pauses={"orders": topic, "orders:1": own, "bills": topic})
    assert [view.pause for view in found.partitions] == [
        PauseView("operator", "ann", NOW_MS - 5, "holidays"),
        PauseView("dead-letter limit", "ferry", NOW_MS - 9, "9 of 10 invalid"),
    ]
    assert found.other_pauses == (("bills", PauseView("operator", "ann", NOW_MS - 5, "holidays")),)


def test_a_pause_that_only_the_consumer_knows_ends_with_its_word() -> None:
    """Nobody can tell whether a silent consumer would still be at its limit."""
    assert status(ledger(), words=[word(paused="limit")]).partitions[0].pause == PauseView("limit")
    assert status(ledger(), words=[word(99.0, paused="limit")]).partitions[0].pause is None


@pytest.mark.parametrize("member", ["", "x", "1-2-x-", "-1", "²", "5-x"])
def test_a_member_that_is_not_ferrys_has_no_task_id(member: str) -> None:
    """Nothing is made up of it."""
    (view,) = status(ledger(lowest=member)).partitions
    assert view.oldest in {None, "orders-0-1..2"}


def test_a_batch_is_named_by_its_task_id() -> None:
    """So that `ferry trace` can be asked."""
    assert status(ledger(lowest="4-9-5")).partitions[0].oldest == "orders-0-4..9"


@given(found=statuses())
def test_no_number_is_negative(found: GroupStatus) -> None:
    """Whatever clocks and offsets say."""
    for view in found.partitions:
        assert view.backlog >= view.in_flight >= 0
        assert view.lag >= 0
        assert (view.oldest_seconds or 0) >= 0
        assert (view.word_age_seconds or 0) >= 0
    assert len(found.silent) <= len(found.partitions)


def test_counts_that_are_none_are_zero() -> None:
    """A head of another version, or damaged."""
    broken = replace(ledger(), head=head())
    assert status(broken).partitions[0].in_flight == 0
    broken = replace(ledger(), head=replace(head(), fields={"messages": "²"}))
    assert status(broken).partitions[0].in_flight == 0
    assert TopicPartition("orders", 0) == status(broken).partitions[0].place
    assert silent_after_seconds(5) == SILENT_AFTER
