"""Ferry's own counts against what MONITOR saw."""

from dataclasses import replace

import pytest

from tests.chaos.effects import Away, Effect, Forgot, Killed, Left, Part, Rewound
from tests.chaos.ferry_counts import CountedLine, FerryCounts, LedgerCount, ProcessCount, Takeover
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.counters import CountRow, count_rows, wrong_counts
from tests.unit.chaos.harness import NO_COUNTS
from tests.unit.chaos.story import BATCHED, TASK, Story

RETRY = Story().push(1.0).push(30.0, Cause.RETRY, copy="1.2.1")


def row(story: Story, counts: FerryCounts, counter: str) -> CountRow:
    """What was found of one counter."""
    (found,) = (row for row in count_rows(story.evidence, counts) if row.counter == counter)
    return found


def told(*at: float, counter: str = "retried") -> FerryCounts:
    """Consumers that said so at these times."""
    return replace(NO_COUNTS, lines=tuple(CountedLine(moment, counter, TASK, "consumer-a.1.log") for moment in at))


def wrong(story: Story, counts: FerryCounts) -> list[str]:
    """What is wrong with these counts."""
    return list(wrong_counts(story.evidence, counts, count_rows(story.evidence, counts)))


@pytest.mark.parametrize(("cause", "counter"), [(Cause.RETRY, "retried"), (Cause.REDELIVERY, "redelivered")])
def test_each_queueing_needs_a_line_of_its_own(cause: Cause, counter: str) -> None:
    """Of the right counter, about that time."""
    once = Story().push(1.0).push(30.0, cause, copy="1.1.2")
    assert row(once, told(30.1, counter=counter), counter) == CountRow(counter, 1, 1, 0, ())
    assert wrong(once, told(30.1, counter=counter)) == []
    for counts in (
        NO_COUNTS, told(28.0, counter=counter), told(41.0, counter=counter),
        told(30.1, counter="retried" if counter == "redelivered" else "redelivered"),
    ):  # fmt: skip
        assert wrong(once, counts) == [f"1 second queueings are not in Ferry's count {counter}: {TASK}"]
    twice = once.push(31.0, cause, copy="1.1.3")
    assert row(twice, told(30.1, counter=counter), counter).missing == (TASK,)
    assert row(twice, told(30.1, 31.1, counter=counter), counter).missing == ()


def test_who_never_learned_of_it_cannot_count_it() -> None:
    """Its reply was lost, or it died before it could say so."""
    effects: tuple[Effect, ...] = (
        Killed(1, Part.CONSUMER, 30.0, 30.1, 7),
        Away(1, Part.NETWORK, 29.0, 30.5),
        Away(1, Part.VALKEY, 30.2, 31.0),
        # What was asked of it while it stood still is done when it goes on.
        Away(1, Part.VALKEY, 24.0, 29.99),
    )
    for effect in effects:
        story = replace(RETRY, effects=[effect])
        assert row(story, NO_COUNTS, "retried") == CountRow("retried", 1, 0, 1, ())
    for other in (
        Killed(1, Part.CONSUMER, 20.0, 29.0, 7),
        Away(1, Part.VALKEY, 20.0, 28.5),
        Killed(1, Part.WORKER, 30.0, 30.1, 7),
    ):
        assert row(replace(RETRY, effects=[other]), NO_COUNTS, "retried").missing == (TASK,)


def test_one_line_counts_as_many_messages_of_a_divided_batch_as_it_says() -> None:
    """Each of them once, and only those of that batch."""
    story = Story().push_batch(1.0)
    for task_id in BATCHED[2:]:
        story.push(30.0, Cause.DIVISION, copy="1.2.1", task_id=task_id)

    def line(messages: int, task_id: str = "chaos-0-5..9") -> FerryCounts:
        said = CountedLine(30.1, "redelivered", task_id, "consumer-a.1.log", messages)
        return replace(NO_COUNTS, lines=(said,))

    assert row(story, line(3), "redelivered") == CountRow("redelivered", 3, 3, 0, ())
    assert row(story, line(2), "redelivered").missing == BATCHED[4:]
    assert row(story, line(3, "chaos-0-5..8"), "redelivered").missing == BATCHED[4:]
    story.push(30.0, Cause.DIVISION, copy="1.2.1", task_id=BATCHED[2])
    assert row(story, line(5), "redelivered").missing == BATCHED[2:3]


def test_metrics_show_what_the_log_has() -> None:
    """Of a process that lived until the end."""
    counts = replace(NO_COUNTS, processes=(ProcessCount("consumer-a.1.log", "retried", 3, 3),))
    assert wrong(Story().push(1.0), counts) == []
    counts = replace(NO_COUNTS, processes=(ProcessCount("consumer-a.1.log", "retried", 2, 3),))
    assert wrong(Story().push(1.0), counts)[0].startswith("consumer-a.1.log: /metrics says 2 retried, its log has 3")


def taken_up(offset: int, rewound: int, at: float = 25.0, log: str = "a") -> Takeover:
    """A consumer takes partition 0 up; the task has offset 5."""
    return Takeover(at, 0, offset, rewound, log)


AGAIN = Story().push(1.0).push(30.0, copy="2.1.1")
LOST = Forgot(1, Part.VALKEY, 20.0, 21.0)


@pytest.mark.parametrize(
    ("takeover", "counted"),
    [
        (taken_up(5, 1), True), (taken_up(0, 6), True), (taken_up(0, 5), False), (taken_up(6, 9), False),
        (taken_up(0, 6, at=31.0), False), (taken_up(0, 6, at=0.5), False),
    ],
)  # fmt: skip
def test_a_second_dispatch_is_in_what_was_rewound(takeover: Takeover, *, counted: bool) -> None:
    """By the line of the acquisition in between."""
    counts = replace(NO_COUNTS, takeovers=(taken_up(0, 0, at=0.1), takeover))
    found = row(AGAIN, counts, "rewound")

    assert (found.seen, found.counted, found.excused) == (1, int(counted), 0)
    assert (wrong(AGAIN, counts) == []) is counted


def test_what_redis_forgot_another_consumer_cannot_know() -> None:
    """The same one must, unless it has lost the partition in between."""
    first, again = taken_up(0, 0, at=0.1), taken_up(0, 0)
    forgotten = replace(AGAIN, effects=[LOST])

    assert wrong(forgotten, replace(NO_COUNTS, takeovers=(first, again))) != []
    assert wrong(forgotten, replace(NO_COUNTS, takeovers=(first, replace(again, log="b")))) == []
    left = replace(AGAIN, effects=[LOST, Left(2, Part.CONSUMER, 15.0, 16.0, 7)])
    assert wrong(left, replace(NO_COUNTS, takeovers=(first, again))) == []
    nothing_lost = replace(AGAIN, effects=[Rewound(1, Part.KAFKA, 20.0, 21.0, offsets={0: 0})])
    assert wrong(nothing_lost, replace(NO_COUNTS, takeovers=(first, replace(again, log="b")))) != []


@pytest.mark.parametrize(
    ("effect", "excused"),
    [
        (Away(1, Part.KAFKA, 20.0, 24.0), True), (Away(1, Part.NETWORK, 20.0, 24.0), True),
        (Away(1, Part.KAFKA, 0.2, 0.9), False), (Away(1, Part.KAFKA, 25.1, 26.0), False),
        (Away(1, Part.VALKEY, 20.0, 24.0), False),
    ],
)  # fmt: skip
def test_what_was_counted_and_not_signed_has_no_line(effect: Effect, *, excused: bool) -> None:
    """Kafka or the network was away since the copy before, and until shortly before the partition was taken up."""
    story = replace(AGAIN, effects=[effect])
    counts = replace(NO_COUNTS, takeovers=(taken_up(0, 0, at=0.1), taken_up(0, 0)))

    assert row(story, counts, "rewound").excused == int(excused)
    assert (wrong(story, counts) == []) is excused


def test_an_old_copy_that_comes_back_hides_no_count() -> None:
    """The transport handed it back after the partition was taken up below it, and before it was dispatched again."""
    story = Story().push(10.0).push(26.0, Cause.TRANSPORT).push(30.0)
    counts = replace(NO_COUNTS, takeovers=(taken_up(0, 10),))

    assert row(story, counts, "rewound") == CountRow("rewound", 1, 1, 0, ())


def ledger(restored: int = 0, rewound: int = 0, *takeovers: Takeover) -> FerryCounts:
    """What `ferry status` says of partition 0."""
    return replace(NO_COUNTS, ledgers={0: LedgerCount(restored, rewound)}, takeovers=takeovers)


def test_what_was_handed_back_and_ran_is_counted_as_restored() -> None:
    """Since Redis last forgot; a copy that never ran was never claimed."""
    story = Story().push(1.0).push(30.0, Cause.TRANSPORT)
    assert wrong(story, ledger(0)) == []
    story.run(2.0).run(40.0, 40.1)
    assert wrong(story, ledger(1)) == []
    (problem,) = wrong(story, ledger(0))
    assert problem.startswith("partition 0: ferry status says 0 restored, and 1 copies that the transport handed back")
    assert wrong(replace(story, effects=[Forgot(1, Part.VALKEY, 39.0, 39.5)]), ledger(0)) == []
    assert wrong(replace(story, effects=[Forgot(1, Part.VALKEY, 39.0, 39.5, partition=1)]), ledger(0)) != []
    assert wrong(replace(story, effects=[LOST]), ledger(0)) != []


def test_a_copy_that_runs_twice_was_restored_once() -> None:
    """As often as it was handed back and then ran."""
    story = Story().push(1.0).push(30.0, Cause.TRANSPORT).push(50.0, Cause.TRANSPORT).run(31.0).run(32.0).run(51.0)

    assert wrong(story, ledger(2)) == []
    assert "says 1 restored, and 2 copies" in wrong(story, ledger(1))[0]


def test_a_batch_that_was_handed_back_counts_once() -> None:
    """When it ran, or when it was split because it had been begun before."""
    story = Story().push_batch(1.0).push_batch(30.0, Cause.TRANSPORT)
    assert wrong(story, ledger(0)) == []
    ran = replace(story, executions=[]).runs_in_batch((31.0, 31.1), (31.2, 31.3))
    assert wrong(ran, ledger(1)) == []
    assert "says 0 restored, and 1 copies" in wrong(ran, ledger(0))[0]

    for task_id in BATCHED[3:]:
        story.push(31.0, Cause.SPLIT, copy="1.2.1", task_id=task_id)
    assert "says 0 restored, and 1 copies" in wrong(story, ledger(0))[0]
    assert wrong(story, replace(ledger(1), lines=())) == []


def test_the_status_has_what_the_consumers_told() -> None:
    """Since Redis last forgot."""
    takeovers = (taken_up(0, 7, at=10.0), taken_up(0, 5, at=40.0))
    story = Story().push(1.0)

    assert wrong(story, ledger(0, 12, *takeovers)) == []
    assert "ferry status says 11 rewound, and consumers told of 12" in wrong(story, ledger(0, 11, *takeovers))[0]
    assert wrong(replace(story, effects=[LOST]), ledger(0, 5, *takeovers)) == []
    assert wrong(replace(story, effects=[LOST]), ledger(0, 4, *takeovers)) != []


def test_the_status_must_tell_of_each_partition() -> None:
    """One of which nothing is told can lack nothing."""
    assert wrong(Story().push(1.0), replace(NO_COUNTS, ledgers={})) == ["ferry status does not tell of partitions 0"]
