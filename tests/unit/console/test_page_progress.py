"""Rates, failures and snapshots of the live page."""

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from ferry_console.page.events import Event
from ferry_console.page.failures import failures_by_task
from ferry_console.page.progress import counts_of, sample_of
from ferry_console.page.snapshot import MOST_PARTITIONS, snapshot
from ferry_console.status.group_status import GroupStatus
from tests.support.asgi import of_events
from tests.unit.console.status_views import NOW_MS, OLD_AFTER, ledger, status, statuses


def later(seconds: float, *views: tuple[int, int, int]) -> GroupStatus:
    """A group `seconds` later: per partition position, in flight, dead letters."""
    found = status(*(ledger(position=position, in_flight=flying) for position, flying, _ in views))
    partitions = tuple(
        dataclasses.replace(view, dead_letters=dead) for view, (_, _, dead) in zip(found.partitions, views, strict=True)
    )
    return dataclasses.replace(found, at_ms=NOW_MS + int(seconds * 1000), partitions=partitions)


def test_done_a_second() -> None:
    """What was dispatched and is no longer in flight, without what failed; over all partitions, by Redis' clock."""
    before = counts_of(later(0, (100, 30, 0), (10, 10, 0)))
    sample = sample_of(later(2, (150, 30, 10), (20, 10, 0)), before)
    assert (sample.done_per_second, sample.dead_per_second) == (25.0, 5.0)
    assert sample.at_ms == NOW_MS + 2000
    assert sample.in_flight == 40


def test_the_first_look_has_no_rate() -> None:
    """Nor has one after a long silence, or one by a clock that went back."""
    now = later(0, (100, 30, 0))
    before = counts_of(now)
    assert sample_of(now, None).done_per_second is None
    assert sample_of(now, before).done_per_second is None
    assert sample_of(later(-1, (100, 30, 0)), before).done_per_second is None
    assert sample_of(later(31, (100, 30, 0)), before).done_per_second is None
    assert sample_of(later(30, (100, 30, 0)), before).done_per_second == 0.0


def test_a_rewind_is_no_negative_rate() -> None:
    """A partition that went back stands still, the others count."""
    before = counts_of(later(0, (100, 0, 0), (100, 0, 0)))
    assert sample_of(later(1, (10, 0, 0), (107, 0, 0)), before).done_per_second == 7.0


def test_partitions_that_come_and_go() -> None:
    """Only those that were there at both looks are compared; with none there is no rate."""
    before = counts_of(later(0, (100, 0, 0)))
    assert sample_of(later(1, (110, 0, 0), (5000, 0, 0)), before).done_per_second == 10.0
    assert sample_of(later(1), before).done_per_second is None


@given(first=statuses(), second=statuses(), seconds=st.integers(1, 30))
def test_rates_are_never_negative(first: GroupStatus, second: GroupStatus, seconds: int) -> None:
    """Whatever Redis holds."""
    moved = dataclasses.replace(second, at_ms=first.at_ms + seconds * 1000)
    sample = sample_of(moved, counts_of(first))
    assert (sample.done_per_second or 0) >= 0
    assert (sample.dead_per_second or 0) >= 0
    assert sample.backlog == sum(view.backlog for view in second.partitions)


def test_failures_by_task() -> None:
    """A topic's dead letters are its task's; a topic that nobody consumed yet has none, one without a route no name."""
    found = status(ledger(untracked={"handleOrder": "3:1700000000000"}), ledger())
    told = failures_by_task(found, {"orders": "handleOrder", "quiet": "rest"})
    assert [(one.topic, one.task, one.dead_letters, one.untracked) for one in told] == [
        ("orders", "handleOrder", 8, 3),
        ("quiet", "rest", 0, 0),
    ]
    assert failures_by_task(found, {})[0].task is None


@given(found=statuses(), tasks=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_no_failure_is_counted_twice(found: GroupStatus, tasks: dict[str, str]) -> None:
    """The sums are the group's."""
    told = failures_by_task(found, tasks)
    assert sum(one.dead_letters for one in told) == sum(view.dead_letters for view in found.partitions)
    assert len({one.topic for one in told}) == len(told)


@given(found=statuses())
def test_any_group_can_be_sent(found: GroupStatus) -> None:
    """As one event that a browser reads back, whatever somebody has written into Redis."""
    told = snapshot(found, sample_of(found, None), {"entries": []}, failures_by_task(found, {}), OLD_AFTER)
    (event,) = of_events(Event("look", told).frame.decode())
    assert event["event"] == "look"
    assert json.loads(event["data"]) == json.loads(json.dumps(told))


def test_of_many_partitions_the_busiest_are_shown() -> None:
    """Totals and warnings are of all."""
    found = status(*(ledger(position=90 + number) for number in range(MOST_PARTITIONS + 3)))
    told = snapshot(found, sample_of(found, None), {}, [], OLD_AFTER)
    assert told["partitions_left_out"] == 3
    assert len(told["status"]["partitions"]) == MOST_PARTITIONS
    assert told["status"]["totals"]["partitions"] == MOST_PARTITIONS + 3
    assert snapshot(status(ledger()), sample_of(found, None), {}, [], OLD_AFTER)["partitions_left_out"] == 0
