"""Every message ends; what is neither done nor dead is lost, and a dead letter needs a reason."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Part, Rewound
from tests.chaos.evidence import DeadLetter, Execution
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.endings import accounts, repeated_dead_letters, wrong_endings
from tests.unit.chaos.story import TASK, Story


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
            story.executions.append(Execution(task_id, "tag", 1, 1.0, 2.0, "done" if fate == "both" else fate))
        if fate == "open":
            story.executions.append(Execution(task_id, "tag", 1, 1.0))
        if fate in {"dead", "both"}:
            story.dead_letters.append(DeadLetter(task_id, 3.0, "invalid"))
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
    ("behaviour", "reason"),
    [(Behaviour.INVALID, "invalid"), (Behaviour.RAISES, "ValueError"), (Behaviour.HANGS, "TimeLimitExceeded")],
)
def test_what_asks_for_a_dead_letter_gets_one(behaviour: Behaviour, reason: str) -> None:
    """Nothing is wrong with that."""
    assert wrong(Story().of(behaviour).dead(5.0, reason)) == []


@pytest.mark.parametrize("reason", ["invalid", "ValueError", "TimeLimitExceeded", "poison"])
def test_a_valid_message_must_not_die_without_a_fault(reason: str) -> None:
    """Whatever is said of it."""
    assert wrong(Story().push(1.0).dead(5.0, reason)) == [(f"dead letter: {reason}", "unexplained")]


def test_a_fault_may_end_a_valid_message_and_is_named() -> None:
    """A child that was held beyond its hard limit; but no fault makes a valid message invalid."""
    held = Held(3, Part.WORKER_CHILD, 2.0, 9.0, 7)

    story = Story().push(1.0).dead(8.0, "TimeLimitExceeded").when(held)
    assert wrong(story) == [("dead letter: TimeLimitExceeded", "TimeLimitExceeded, under a fault")]
    assert wrong(Story().push(1.0).dead(8.0, "invalid").when(held)) == [("dead letter: invalid", "unexplained")]
    assert wrong(Story().push(12.0).dead(18.0, "poison").when(held)) == [("dead letter: poison", "unexplained")]


def test_an_invalid_message_is_never_executed() -> None:
    """Nor one that Kafka never had."""
    assert wrong(Story().of(Behaviour.INVALID).run(1.0, 2.0)) == [
        ("executed, though not a valid message", "unexplained")
    ]
    unknown = Story().run(1.0, 2.0, task_id="chaos-0-77").dead(3.0, task_id="chaos-0-78")
    assert [what for what, _ in wrong(unknown)] == ["executed, though not a valid message", "dead letter: invalid"]


@pytest.mark.parametrize(
    "effect",
    [
        Killed(1, Part.CONSUMER, 11.0, 11.1, 7),
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


def test_a_partition_that_changed_hands_explains_a_second_dead_letter() -> None:
    """That partition, between the two."""
    story = Story().of(Behaviour.INVALID).dead(10.0).dead(20.0).acquired(30.0, 0).acquired(15.0, 0, partition=1)
    assert [repeat.cause for repeat in repeated_dead_letters(story.evidence)] == ["unexplained"]
    (repeat,) = repeated_dead_letters(story.acquired(15.0, 0).evidence)
    assert repeat.cause == "the partition changed hands before it was recorded"
    assert repeat.task_id == TASK
