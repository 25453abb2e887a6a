"""Every message ends; what is neither done nor dead is lost, and a dead letter needs a reason."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Left, Part, Rewound
from tests.chaos.evidence import DeadLetter, Execution
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.endings import accounts, repeated_dead_letters, wrong_endings
from tests.unit.chaos.story import Story


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 30)),
        st.sampled_from(["done", "dead", "both", "open", "raised", "asked", "never"]),
    )
)
def test_what_is_neither_done_nor_dead_is_lost(fates: dict[tuple[int, int], str]) -> None:
    """By partition; an execution that did not reach its end, raised, or asked for a retry, counts for nothing."""
    story = Story(log={f"chaos-{partition}-{offset}": Behaviour.ORDINARY for partition, offset in fates})
    for (partition, offset), fate in fates.items():
        task_id = f"chaos-{partition}-{offset}"
        if fate in {"done", "both", "raised", "asked"}:
            story.executions.append(Execution(task_id, "tag", 1, 1, 1, 1.0, 2.0, "done" if fate == "both" else fate))
        if fate == "open":
            story.executions.append(Execution(task_id, "tag", 1, 1, 1, 1.0))
        if fate in {"dead", "both"}:
            story.dead_letters.append(DeadLetter(task_id, 3.0, "invalid", task_id, b""))
    found = {account.partition: account for account in accounts(story.evidence)}

    assert sum(account.offsets for account in found.values()) == len(fates)
    for partition, account in found.items():
        own = Counter(fate for (number, _), fate in fates.items() if number == partition)
        assert account.offsets == own.total()
        assert account.done == own["done"] + own["both"]
        assert account.dead == own["dead"] + own["both"]
        lost = {
            (n, o) for (n, o), fate in fates.items() if n == partition and fate in {"open", "raised", "asked", "never"}
        }
        assert set(account.lost) == {f"chaos-{n}-{o}" for n, o in lost}


def wrong(story: Story) -> list[tuple[str, str]]:
    """What the oracle finds."""
    return [(ending.what, ending.cause) for ending in wrong_endings(story.evidence)]


@pytest.mark.parametrize(
    "story",
    [
        Story().of(Behaviour.INVALID).dead(5.0, "invalid"),
        Story().of(Behaviour.INVALID).dead(5.0, "not-json"),
        Story().of(Behaviour.RAISES).run(4.0, 4.1, "raised").dead(5.0, "ValueError"),
        Story().of(Behaviour.HANGS).run(1.0).dead(6.0, "TimeLimitExceeded"),
        Story().of(Behaviour.HANGS).run(1.0).run(12.0, 12.1),
        Story().of(Behaviour.RETRIES).run(1.0, 1.1, "asked").run(3.0, 3.1),
        Story().of(Behaviour.EXITS).run(1.0).run(3.0, 3.1),
        Story().of(Behaviour.SLOW).run(1.0, 4.0),
    ],
)
def test_a_message_that_ends_as_it_asks_is_right(story: Story) -> None:
    """Nothing is wrong with that."""
    assert wrong(story) == []


@pytest.mark.parametrize(
    ("story", "what"),
    [
        (Story().of(Behaviour.INVALID).dead(5.0, "poison"), "dead letter: poison"),
        (Story().of(Behaviour.RAISES).run(4.0, 4.1, "raised").dead(5.0, "invalid"), "dead letter: invalid"),
        (Story().of(Behaviour.RAISES).dead(5.0, "ValueError"), "dead letter: ValueError"),
        (Story().of(Behaviour.RAISES).run(4.0, 4.1), "done, though the message raises"),
        (Story().of(Behaviour.RETRIES).run(4.0, 4.1), "done, though the message retries"),
        (Story().of(Behaviour.EXITS).run(4.0, 4.1), "done, though the message exits"),
        (Story().of(Behaviour.HANGS).run(4.0, 4.1), "done, though the message hangs"),
        (Story().of(Behaviour.SLOW).run(4.0, 4.1, "asked"), "asked, though the message slow"),
        (Story().of(Behaviour.HANGS).run(1.0, 1.1, "raised").run(1.2), "raised, though the message hangs"),
    ],
)
def test_a_message_that_ends_in_another_way_is_wrong(story: Story, what: str) -> None:
    """Also when it has ended."""
    assert wrong(story) == [(what, "unexplained")]


def test_a_run_is_given_the_message_of_its_id() -> None:
    """The serial in the task's line is that of the record at that partition and offset."""
    story = Story().run(1.0, 1.1)
    assert wrong(story) == []
    story.executions = [replace(story.executions[0], serial=6)]
    assert wrong(story) == [("executed with message 6", "unexplained")]


def test_a_dead_letter_is_the_record_of_its_place() -> None:
    """Its value, byte by byte, and both of its ids."""
    story = Story().of(Behaviour.INVALID).dead(5.0)
    (letter,) = story.dead_letters
    for value in (b"else", None):
        story.dead_letters = [replace(letter, value=value)]
        assert wrong(story) == [("dead letter with another value", "unexplained")]
    story.dead_letters = [replace(letter, named="chaos-0-6")]
    assert wrong(story) == [("dead letter whose headers name chaos-0-6", "unexplained")]


@pytest.mark.parametrize("reason", ["invalid", "ValueError", "TimeLimitExceeded", "poison"])
def test_a_valid_message_must_not_die_without_a_fault(reason: str) -> None:
    """Whatever is said of it."""
    assert wrong(Story().push(1.0).dead(5.0, reason)) == [(f"dead letter: {reason}", "unexplained")]


def test_a_process_held_beyond_its_limit_makes_a_dead_letter() -> None:
    """The process that ran it; but no fault makes a valid message invalid."""
    own, other = (Held(3, Part.WORKER_CHILD, 2.0, 9.0, pid) for pid in (100, 101))

    def story(reason: str, *effects: Effect) -> Story:
        return Story().push(1.0).run(1.5).dead(8.0, reason).when(*effects)

    assert wrong(story("TimeLimitExceeded", own)) == [
        ("dead letter: TimeLimitExceeded", "its process stood still beyond its hard limit")
    ]
    assert wrong(story("TimeLimitExceeded", other)) == [("dead letter: TimeLimitExceeded", "unexplained")]
    assert wrong(story("invalid", own)) == [("dead letter: invalid", "unexplained")]
    assert wrong(story("poison", own)) == [("dead letter: poison", "unexplained")]


def test_a_process_held_before_the_tasks_first_line_makes_one_dead_letter() -> None:
    """It had just taken the task, ran nothing else, and still stood when the limit struck."""
    held, explained = Held(3, Part.WORKER_CHILD, 2.0, 9.0, 100), "its process stood still beyond its hard limit"

    def story(*effects: Effect) -> Story:
        return Story().push(1.0).dead(8.0, "TimeLimitExceeded").when(*effects)

    def causes(told: Story) -> list[str]:
        return [cause for what, cause in wrong(told) if what == "dead letter: TimeLimitExceeded"]

    assert causes(story(held)) == [explained]
    late = story(replace(held, until=7.0))
    assert causes(late.acknowledged(6.9)) == [explained], "the limit struck in time, its consumer came late"
    assert causes(story(replace(held, until=7.0)).acknowledged(7.5)) == ["unexplained"]
    for other in (replace(held, until=7.0), replace(held, at=0.5), replace(held, part=Part.WORKER)):
        assert causes(story(other)) == ["unexplained"]
    run_before = Story().push(0.1).run(0.2, 0.3, pid=101).push(1.0).dead(8.0, "TimeLimitExceeded").when(held)
    assert causes(run_before) == [explained], "an earlier copy ran, the last one had not begun"
    assert causes(story(held).run(1.5, 1.6, pid=101)) == ["unexplained"]
    busy = story(held)
    busy.log["chaos-0-6"] = Behaviour.ORDINARY
    assert causes(busy.run(1.5, 9.5, task_id="chaos-0-6")) == ["unexplained"]
    second = story(held)
    second.log["chaos-0-6"] = Behaviour.ORDINARY
    second.push(1.1, task_id="chaos-0-6").dead(8.1, "TimeLimitExceeded", "chaos-0-6")
    assert causes(second) == [explained, "unexplained"]


def test_poison_is_what_ended_with_its_process_so_often() -> None:
    """Three times; each by a fault of its own process, or because Redis was away at its end."""
    kills = [Killed(number, Part.WORKER_CHILD, at, at + 0.1, 100) for number, at in ((1, 11.0), (2, 21.0))]
    story = Story().run(10.0).run(20.0).dead(50.0, "poison").when(*kills)
    assert wrong(story) == [("dead letter: poison", "unexplained")]

    story.run(30.0, 30.1)
    assert wrong(story) == [("dead letter: poison", "unexplained")]
    story.when(Away(3, Part.VALKEY, 30.0, 32.0))
    assert wrong(story) == [("dead letter: poison", "so many of its runs were ended with their processes")]


def test_never_acknowledged_is_what_vanished_five_times() -> None:
    """Four copies after the first, and trouble also behind the last."""
    story = Story().push(1.0).dead(100.0, "never-acknowledged")
    for copy in (2, 3, 4):
        story.push(10.0 * copy, Cause.REDELIVERY, copy=f"1.1.{copy}")
    story.when(Killed(7, Part.WORKER, 60.0, 60.1, 99))
    assert wrong(story) == [("dead letter: never-acknowledged", "unexplained")]
    assert wrong(story.push(50.0, Cause.REDELIVERY, copy="1.1.5")) == [
        ("dead letter: never-acknowledged", "all of its copies vanished")
    ]
    story.effects = []
    assert wrong(story) == [("dead letter: never-acknowledged", "unexplained")]


def test_an_invalid_message_is_never_executed() -> None:
    """Nor one that Kafka never had."""
    invalid = Story().of(Behaviour.INVALID).run(1.0, 2.0)
    assert ("executed, though not a valid message", "unexplained") in wrong(invalid)
    unknown = Story().run(1.0, 2.0, task_id="chaos-0-77").dead(3.0, task_id="chaos-0-78")
    assert [what for what, _ in wrong(unknown)] == ["executed, though not a valid message", "dead letter: invalid"]


@pytest.mark.parametrize(
    "effect",
    [
        Killed(1, Part.CONSUMER, 11.0, 11.1, 50),
        Forgot(1, Part.VALKEY, 11.0, 11.1),
        Away(1, Part.KAFKA, 11.0, 12.0),
        Rewound(1, Part.KAFKA, 11.0, 12.0, offsets={0: 0}),
    ],
)
def test_a_second_dead_letter_needs_a_fault(effect: Effect) -> None:
    """Between the two."""
    story = Story().of(Behaviour.INVALID).dead(10.0).dead(20.0)
    assert [repeat.cause for repeat in repeated_dead_letters(story.evidence)] == ["unexplained"]
    story.when(effect)
    assert [repeat.explanation is not None for repeat in repeated_dead_letters(story.evidence)] == [True]


def again(story: Story) -> list[str]:
    """The causes of the dead letters after the first."""
    return [repeat.cause for repeat in repeated_dead_letters(story.evidence)]


@pytest.mark.parametrize(
    "effect",
    [
        Killed(1, Part.CONSUMER, 11.0, 11.1, 51),
        Killed(1, Part.CONSUMER, 21.0, 21.1, 50),
        Forgot(1, Part.VALKEY, 11.0, 11.1, since=10.5),
        Forgot(1, Part.VALKEY, 11.0, 11.1, partition=1),
        Away(1, Part.KAFKA, 17.0, 18.0),
        Rewound(1, Part.KAFKA, 11.0, 12.0, offsets={0: 6}),
    ],
    ids=["another consumer", "later", "what came after", "another partition", "too late", "above it"],
)
def test_what_did_not_hit_its_writer_explains_no_second_dead_letter(effect: Effect) -> None:
    """The one that wrote the first, or Redis after it."""
    assert again(Story().of(Behaviour.INVALID).dead(10.0).dead(20.0).when(effect)) == ["unexplained"]


@pytest.mark.parametrize(("since", "cause"), [(10.8, "its record was lost with Redis"), (15.5, "unexplained")])
def test_a_snapshot_may_lie_between_a_dead_letter_and_its_record(since: float, cause: str) -> None:
    """It is recorded when Kafka has confirmed it, within seconds."""
    story = Story().of(Behaviour.INVALID).dead(10.0).dead(20.0).when(Forgot(1, Part.VALKEY, 16.0, 16.1, since=since))
    assert again(story) == [cause]


def test_a_fault_explains_one_more_dead_letter_of_an_id() -> None:
    """A third needs another fault."""
    story = Story().of(Behaviour.INVALID).dead(10.0).dead(11.0).dead(12.0).when(Away(1, Part.KAFKA, 9.0, 13.0))
    assert again(story) == ["a server was away before it was recorded", "unexplained"]
    assert again(story.when(Forgot(2, Part.VALKEY, 11.5, 11.6)))[1] == "its record was lost with Redis"


def test_a_rewind_and_the_handover_that_comes_with_it_explain_one_dead_letter_each() -> None:
    """The consumers leave, the offset is set, both join again: a letter from before the partition is handed over."""
    left, rewound = Left(4, Part.CONSUMER, 9.0, 13.0, 77), Rewound(4, Part.KAFKA, 11.0, 12.0, offsets={0: 0})
    story = Story().of(Behaviour.INVALID).dead(8.0).dead(14.2).dead(17.0).acquired(14.0, 0).acquired(16.8, 0)
    assert again(story.when(left, rewound)) == [
        "rewound by an operator",
        "the partition changed hands before it was recorded",
    ]
    assert again(story.dead(17.2)) == [*again(story)[:2], "unexplained"]


def test_redis_may_have_lost_a_failure_before_its_dead_letter_is_written() -> None:
    """The consumer had read it; then it runs again, and fails again."""

    def story(lost: Effect) -> Story:
        told = Story().of(Behaviour.RAISES).run(9.0, 9.1, "raised").dead(10.0, "ValueError")
        return told.run(19.0, 19.1, "raised").dead(20.0, "ValueError").when(lost)

    assert again(story(Forgot(1, Part.VALKEY, 9.5, 9.6))) == ["its record was lost with Redis"]
    assert again(story(Forgot(1, Part.VALKEY, 8.5, 8.6))) == ["unexplained"]
    assert again(story(Forgot(1, Part.VALKEY, 9.5, 9.6, since=9.3))) == ["unexplained"]


def test_a_partition_that_changed_hands_explains_nothing_without_a_fault_behind_it() -> None:
    """That partition, between the two, right after a fault."""
    story = Story().of(Behaviour.INVALID).dead(10.0).dead(20.0).acquired(30.0, 0).acquired(15.0, 0, partition=1)
    assert again(story.when(Left(4, Part.CONSUMER, 13.0, 14.0, 77))) == ["unexplained"]
    assert again(story.acquired(15.0, 0)) == ["the partition changed hands before it was recorded"]
    story.effects = []
    assert again(story) == ["unexplained"]
