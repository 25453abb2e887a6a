"""Every second run of a task: what explains it, and that nothing else does."""

import pytest

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Left, Part, Rewound
from tests.chaos.limits import Limits
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.executions import repeated_executions
from tests.unit.chaos.story import Story

LIMITS = Limits(hard_seconds=5, margin_seconds=5)


def cause_of_the_second(story: Story) -> str:
    """The cause of the one repetition in the story."""
    (repeat,) = repeated_executions(story.evidence, LIMITS)
    return repeat.cause


def test_one_run_needs_no_explanation() -> None:
    """That is how it should be."""
    assert list(repeated_executions(Story().run(1.0, 1.1).evidence, LIMITS)) == []


def test_a_task_that_had_ended_must_not_run_again() -> None:
    """However long after, and whatever happened to others."""
    story = Story().run(10.0, 10.1).run(60.0, 60.1)
    story.when(
        Killed(1, Part.WORKER_CHILD, 10.05, 10.2, 101),
        Killed(1, Part.WORKER, 30.0, 30.1, 99),
        Killed(1, Part.CONSUMER, 10.1, 10.2, 98),
        Away(1, Part.NETWORK, 10.0, 12.0),
        Away(1, Part.KAFKA, 10.0, 12.0),
        Away(1, Part.VALKEY, 13.0, 14.0),
    )

    assert cause_of_the_second(story) == "unexplained"


def test_a_retry_is_another_run() -> None:
    """The task asked for it."""
    asked = Story().run(1.0, 1.1, "asked")
    assert cause_of_the_second(asked.run(3.0, 3.1, copy="1.2.1")) == "the task asked for a retry"


@pytest.mark.parametrize("copy", ["1.1.1", "1.1.2", "1.3.1", "2.2.1"])
def test_a_retry_has_the_next_attempt(copy: str) -> None:
    """The same attempt again, or that of another epoch, is none."""
    story = Story().run(1.0, 1.1, "asked").run(9.0, 9.1, copy=copy)

    assert cause_of_the_second(story) == "unexplained"
    lost = story.when(Forgot(1, Part.VALKEY, 5.0, 5.1))
    assert cause_of_the_second(lost) == "the record of its claim was lost with Redis"


@pytest.mark.parametrize(
    "effect", [Killed(1, Part.WORKER_CHILD, 10.5, 10.6, 100), Left(1, Part.WORKER, 9.0, 11.0, 100)]
)
def test_a_killed_process_explains_its_task(effect: Effect) -> None:
    """Its own process, between the start and the next run."""
    assert cause_of_the_second(Story().run(10.0).run(12.0, 12.1).when(effect)) == "its process was killed"


@pytest.mark.parametrize(
    "effect",
    [
        Killed(1, Part.WORKER_CHILD, 10.5, 10.6, 101),
        Killed(1, Part.WORKER_CHILD, 8.0, 8.1, 100),
        Killed(1, Part.WORKER_CHILD, 13.0, 13.1, 100),
        Away(1, Part.VALKEY, 10.5, 10.6),
    ],
    ids=["another process", "before it", "after the second run", "Redis away while it ran"],
)
def test_what_does_not_touch_a_run_without_an_end_explains_nothing(effect: Effect) -> None:
    """Within its lease nobody else may run it."""
    assert cause_of_the_second(Story().run(10.0).run(12.0, 12.1).when(effect)) == "unexplained"


def test_a_process_that_stood_still_may_lose_its_claim() -> None:
    """Hard limit plus margin: 10 s; its own process, and no other."""
    own, other = (Held(1, Part.WORKER_CHILD, 9.0, 19.0, pid) for pid in (100, 101))

    assert cause_of_the_second(Story().run(10.0).run(20.5, 20.6).when(own)) == "its claim had expired"
    assert cause_of_the_second(Story().run(10.0).run(19.0, 19.1).when(own)) == "unexplained"
    assert cause_of_the_second(Story().run(10.0).run(20.5, 20.6).when(other)) == "unexplained"
    assert cause_of_the_second(Story().run(10.0).run(20.5, 20.6)) == "unexplained"


def test_a_process_killed_right_after_its_task_had_no_time_to_say_so() -> None:
    """Right after; a second later it had."""
    soon, late = (Killed(1, Part.WORKER_CHILD, at, at + 0.1, 100) for at in (10.2, 14.0))
    story = Story().run(10.0, 10.1).run(40.0, 40.1)

    assert cause_of_the_second(story.when(late)) == "unexplained"
    assert cause_of_the_second(story.when(soon)) == "its process was killed before its end was recorded"


def test_a_run_that_begins_before_the_other_has_ended_is_no_repetition_of_what_was_not_recorded() -> None:
    """Redis was away at the end of the first, which explains what began after that."""
    overlapping = Story().run(10.0, 10.3).run(10.2, 10.4).when(Away(1, Part.VALKEY, 10.1, 12.0))

    assert cause_of_the_second(overlapping) == "unexplained"


def test_what_was_committed_is_not_lost() -> None:
    """Kafka had it when Redis lost everything; only a Redis that went back in time has the old copies."""
    story = Story().run(10.0, 10.1).run(40.0, 40.1).when(Forgot(1, Part.VALKEY, 20.0, 20.1)).committed(15.0, 5)
    assert cause_of_the_second(story) == "the record of its claim was lost with Redis"
    assert cause_of_the_second(story.committed(19.0, 6)) == "unexplained"
    story.when(Forgot(1, Part.VALKEY, 20.0, 20.1, since=10.05))
    assert cause_of_the_second(story) == "the record of its end was lost with Redis"


def test_redis_away_at_the_end() -> None:
    """Then the end could not be recorded."""
    story = Story().run(10.0, 10.1).run(40.0, 40.1).when(Away(1, Part.VALKEY, 9.0, 20.0))

    assert cause_of_the_second(story) == "Redis was away when its end was to be recorded"


@pytest.mark.parametrize(
    ("forgot", "cause"),
    [
        (Forgot(1, Part.VALKEY, 12.0, 12.1), "the record of its claim was lost with Redis"),
        (Forgot(1, Part.VALKEY, 12.0, 12.1, since=10.05), "the record of its end was lost with Redis"),
        (Forgot(1, Part.VALKEY, 12.0, 12.1, since=11.0), "unexplained"),
        (Forgot(1, Part.VALKEY, 9.8, 9.9), "the record of its claim was lost with Redis"),
        (Forgot(1, Part.VALKEY, 5.0, 6.0), "unexplained"),
        (Forgot(1, Part.VALKEY, 41.0, 42.0), "unexplained"),
        (Forgot(1, Part.VALKEY, 12.0, 12.1, partition=3), "unexplained"),
    ],
    ids=[
        "everything",
        "what came after the start",
        "what came after the end",
        "between its claim and its first line",
        "before its claim",
        "too late",
        "another partition",
    ],
)
def test_redis_forgets(forgot: Forgot, cause: str) -> None:
    """What it had learned since then, of that partition."""
    assert cause_of_the_second(Story().run(10.0, 10.1).run(40.0, 40.1).when(forgot)) == cause


def test_a_ledger_that_a_consumer_gave_up_is_lost_whole() -> None:
    """With the ends of tasks that Redis still knew of."""
    story = Story().run(10.0, 10.1).run(40.0, 40.1).when(Forgot(1, Part.VALKEY, 12.0, 12.1, since=11.0))

    assert cause_of_the_second(story) == "unexplained"
    assert cause_of_the_second(story.acquired(13.0, 6, reason="ledger_lost")) == "unexplained"
    story.acquisitions.clear()
    found = cause_of_the_second(story.acquired(13.0, 5, reason="ledger_lost"))
    assert found == "the record of its claim was lost with Redis"


def test_a_rewind_runs_it_again() -> None:
    """If it reaches it."""
    story = Story().run(10.0, 10.1).run(40.0, 40.1)

    assert cause_of_the_second(story.when(Rewound(1, Part.KAFKA, 20.0, 21.0, offsets={0: 6}))) == "unexplained"
    rewound = story.when(Rewound(2, Part.KAFKA, 20.0, 21.0, offsets={0: 5}))
    assert cause_of_the_second(rewound) == "rewound by an operator"


def test_an_old_copy_runs_until_its_partition_is_taken_up_after_a_rewind() -> None:
    """The operator has set the offset before the first run, and no consumer knows of it yet."""
    story = Story().run(10.0, 10.1).run(40.0, 40.1).when(Rewound(1, Part.KAFKA, 7.0, 9.9, offsets={0: 5}))

    for at, offset, reason in (
        (9.0, 5, "operator"),
        (41.0, 5, "operator"),
        (12.0, 6, "operator"),
        (12.0, 5, "continued"),
    ):
        story.acquisitions.clear()
        assert cause_of_the_second(story.acquired(at, offset, reason=reason)) == "unexplained"
    assert cause_of_the_second(story.acquired(12.0, 5, reason="operator")) == "rewound by an operator"
    story.effects.clear()
    assert cause_of_the_second(story) == "unexplained"


def test_a_message_that_ends_its_process_runs_again_once() -> None:
    """The second time it does not."""
    story = Story().of(Behaviour.EXITS).run(10.0).run(11.0).run(12.0, 12.1)

    assert [repeat.cause for repeat in repeated_executions(story.evidence, LIMITS)] == [
        "its process ended itself",
        "unexplained",
    ]


def test_a_message_that_hangs_is_not_repeated_before_its_hard_limit() -> None:
    """5 s."""
    assert cause_of_the_second(Story().of(Behaviour.HANGS).run(10.0).run(15.5, 15.6)) == "it hung until its hard limit"
    assert cause_of_the_second(Story().of(Behaviour.HANGS).run(10.0).run(13.0, 13.1)) == "unexplained"


def test_a_held_worker_is_named() -> None:
    """The fault that made the claim expire."""
    story = Story().run(10.0, 30.0).run(26.0, 26.1).when(Held(7, Part.WORKER_CHILD, 9.0, 31.0, 100))
    (repeat,) = repeated_executions(story.evidence, LIMITS)

    assert repeat.explanation is not None
    assert repeat.explanation.fault == 7
