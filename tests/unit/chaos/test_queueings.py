"""Every second copy in the queue: what explains it, and that nothing else does."""

import pytest

from tests.chaos.copies import Happened, Step
from tests.chaos.effects import Away, Effect, Forgot, Full, Held, Killed, Left, Part, Rewound
from tests.chaos.limits import Limits
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.queueings import repeated_queueings
from tests.unit.chaos.story import WORKER_PID, Story

LIMITS = Limits()


def cause_of_the_second(story: Story) -> str:
    """The cause of the one repetition in the story."""
    (repeat,) = repeated_queueings(story.evidence, LIMITS)
    return repeat.cause


def test_one_copy_needs_no_explanation() -> None:
    """That is how it should be."""
    assert list(repeated_queueings(Story().push(1.0).evidence, LIMITS)) == []


@pytest.mark.parametrize("cause", [Cause.RETRY, Cause.REDELIVERY, Cause.TRANSPORT, Cause.UNKNOWN])
def test_a_first_copy_that_is_no_dispatch_is_unexplained(cause: Cause) -> None:
    """Somebody queued what was never dispatched."""
    assert cause_of_the_second(Story().push(1.0, cause)) == "unexplained"


def dispatched_twice(*effects: Effect) -> Story:
    """At 10 and at 30; taken up below it at 20."""
    return Story().push(10.0).push(30.0).acquired(20.0, 3).when(*effects)


def test_a_second_dispatch_without_a_fault_is_unexplained() -> None:
    """Even when a consumer says that it took the partition up there."""
    assert cause_of_the_second(dispatched_twice()) == "unexplained"


def test_what_redis_lost_is_dispatched_again() -> None:
    """FLUSHALL in between."""
    assert cause_of_the_second(dispatched_twice(Forgot(1, Part.VALKEY, 15.0, 15.1))).startswith("lost with Redis")


@pytest.mark.parametrize(
    "forgot",
    [
        Forgot(1, Part.VALKEY, 31.0, 31.1),
        Forgot(1, Part.VALKEY, 5.0, 5.1),
        Forgot(1, Part.VALKEY, 15.0, 15.1, since=11.0),
        Forgot(1, Part.VALKEY, 15.0, 15.1, partition=1),
    ],
    ids=["after it", "before the first", "only what is younger", "another partition"],
)
def test_a_loss_that_does_not_touch_it_explains_nothing(forgot: Forgot) -> None:
    """It must have been known to Redis then, and lost before the second dispatch."""
    assert cause_of_the_second(dispatched_twice(forgot)) == "unexplained"


def test_a_ledger_that_a_consumer_gave_up_is_lost_whole() -> None:
    """Rolled back further than to the second dispatch; but only if Redis forgot anything since the first."""
    older = Forgot(1, Part.VALKEY, 15.0, 15.1, since=11.0)
    story = Story().push(10.0).push(30.0).acquired(20.0, 3, reason="ledger_lost")

    assert cause_of_the_second(story) == "unexplained"
    story.acquired(8.0, 0).when(Forgot(2, Part.VALKEY, 5.0, 5.1))
    assert cause_of_the_second(story) == "unexplained"
    assert cause_of_the_second(story.when(older)) == "lost with Redis, dispatched again"
    continued = Story().push(10.0).push(30.0).acquired(20.0, 3).when(older)
    assert cause_of_the_second(continued) == "unexplained"


def test_a_loss_explains_nothing_without_an_acquisition() -> None:
    """No consumer took the partition up in between, or only above it."""
    lost = Forgot(1, Part.VALKEY, 15.0, 15.1)

    assert cause_of_the_second(Story().push(10.0).push(30.0).when(lost)) == "unexplained"
    assert cause_of_the_second(Story().push(10.0).push(30.0).acquired(20.0, 6).when(lost)) == "unexplained"
    assert cause_of_the_second(Story().push(10.0).push(30.0).acquired(31.0, 3).when(lost)) == "unexplained"
    assert cause_of_the_second(Story().push(10.0).push(30.0).acquired(20.0, 3, partition=1).when(lost)) == "unexplained"


def test_what_was_committed_when_redis_lost_it_is_not_dispatched_again() -> None:
    """Kafka's own word, of before the loss; an operator may have set the group back meanwhile."""
    story = dispatched_twice(Forgot(1, Part.VALKEY, 15.0, 15.1)).committed(11.0, 5).committed(15.5, 9)
    assert cause_of_the_second(story).startswith("lost with Redis")
    assert cause_of_the_second(story.committed(14.0, 6)) == "unexplained"
    assert cause_of_the_second(story.when(Rewound(2, Part.KAFKA, 5.0, 5.5, offsets={0: 4}))) == "unexplained"
    story.when(Rewound(2, Part.KAFKA, 9.5, 9.6, offsets={0: 4}))
    assert cause_of_the_second(story).startswith("lost with Redis")


def test_the_nearest_loss_is_named() -> None:
    """Also where the ledger was given up for a later one, which alone would have left this message."""
    story = dispatched_twice(Forgot(1, Part.VALKEY, 15.0, 15.1), Forgot(2, Part.VALKEY, 18.0, 18.1, since=17.0))
    story.acquired(19.0, 3, reason="ledger_lost")
    (repeat,) = repeated_queueings(story.evidence, LIMITS)

    assert repeat.explanation is not None
    assert repeat.explanation.fault == 2


def test_one_loss_explains_one_dispatch() -> None:
    """The next one needs the next loss, and the nearest is named."""
    story = dispatched_twice(Forgot(1, Part.VALKEY, 15.0, 15.1)).push(50.0).acquired(40.0, 3)
    found = [repeat.explanation for repeat in repeated_queueings(story.evidence, LIMITS)]
    assert [explanation is not None for explanation in found] == [True, False]

    story.when(Forgot(3, Part.VALKEY, 39.0, 39.1), Forgot(2, Part.VALKEY, 35.0, 35.1))
    found = [repeat.explanation for repeat in repeated_queueings(story.evidence, LIMITS)]
    assert [explanation.fault for explanation in found if explanation] == [1, 3]


@pytest.mark.parametrize(("offsets", "explained"), [({0: 5}, True), ({0: 0}, True), ({0: 6}, False), ({1: 0}, False)])
def test_a_rewind_explains_what_it_reaches(offsets: dict[int, int], explained: bool) -> None:
    """The offset that was set, and all above it."""
    cause = cause_of_the_second(dispatched_twice(Rewound(1, Part.KAFKA, 14.0, 15.0, offsets=offsets)))

    assert (cause == "rewound by an operator") is explained


def test_an_old_copy_that_comes_back_hides_no_rewind() -> None:
    """Its process died before the rewind, the transport handed it back after that; then comes the dispatch."""
    story = (
        Story()
        .of(Behaviour.EXITS)
        .push(10.0)
        .taken(12.0)
        .run(12.1)
        .when(Rewound(1, Part.KAFKA, 14.0, 15.0, offsets={0: 3}))
    )
    story.acquired(16.0, 3).push(20.0, Cause.TRANSPORT).push(30.0)

    assert [repeat.cause for repeat in repeated_queueings(story.evidence, LIMITS)] == [
        "handed back by the transport: its own process ended",
        "rewound by an operator",
    ]


def test_a_rewind_before_the_first_dispatch_explains_nothing() -> None:
    """One rewind explains one repetition."""
    assert cause_of_the_second(dispatched_twice(Rewound(1, Part.KAFKA, 4.0, 5.0, offsets={0: 0}))) == "unexplained"


def test_a_retry_needs_a_task_that_asked() -> None:
    """Once for each time."""
    asked = Story().of(Behaviour.RETRIES).push(1.0).run(2.0, 2.1, "asked").push(3.0, Cause.RETRY, copy="1.2.1")

    assert cause_of_the_second(asked) == "the task asked for a retry"
    same = Story().of(Behaviour.RETRIES).push(1.0).run(2.0, 2.1, "asked").push(3.0, Cause.RETRY, copy="1.1.2")
    assert cause_of_the_second(same) == "unexplained"
    assert cause_of_the_second(Story().push(1.0).run(2.0, 2.1).push(3.0, Cause.RETRY)) == "unexplained"
    assert cause_of_the_second(Story().push(1.0).run(4.0, 4.1, "asked").push(3.0, Cause.RETRY)) == "unexplained"


def test_a_second_retry_for_one_question_needs_a_loss() -> None:
    """Redis forgot that the first had been queued."""
    story = Story().push(1.0).run(2.0, 2.1, "asked")
    story.push(3.0, Cause.RETRY, copy="1.2.1").push(9.0, Cause.RETRY, copy="1.2.1")
    assert [repeat.cause for repeat in repeated_queueings(story.evidence, LIMITS)] == [
        "the task asked for a retry",
        "unexplained",
    ]

    story.when(Forgot(1, Part.VALKEY, 5.0, 6.0, since=2.5))
    assert [repeat.explanation is not None for repeat in repeated_queueings(story.evidence, LIMITS)] == [True, True]


WORKER_TROUBLE = [
    Killed(1, Part.WORKER, 12.0, 12.1, 7),
    Killed(1, Part.WORKER_CHILD, 12.0, 12.1, 8),
    Held(1, Part.WORKER, 12.0, 40.0, 7),
    Left(1, Part.WORKER, 12.0, 13.0, 7),
]
REDIS_TROUBLE = [
    Away(1, Part.VALKEY, 12.0, 13.0),
    Forgot(1, Part.VALKEY, 12.0, 13.0),
    Full(1, Part.VALKEY, 12.0, 13.0),
]
OTHER_TROUBLE = [
    Killed(1, Part.CONSUMER, 12.0, 12.1, 7),
    Away(1, Part.KAFKA, 12.0, 13.0),
    Held(1, Part.BEAT, 12.0, 13.0, 9),
    Killed(1, Part.WORKER, 31.0, 31.1, 7),
    Away(1, Part.VALKEY, 2.0, 3.0),
]


@pytest.mark.parametrize("effect", [*WORKER_TROUBLE, *REDIS_TROUBLE])
def test_a_transport_hands_back_what_a_worker_or_redis_dropped(effect: Effect) -> None:
    """Between the copy before and this one."""
    story = Story().push(10.0).taken(11.0).push(30.0, Cause.TRANSPORT).when(effect)

    assert cause_of_the_second(story).startswith("handed back by the transport: ")


def test_a_worker_that_has_seen_no_ledger_hands_back() -> None:
    """Until a consumer has made one again; and only what it has not run."""

    def story(partition: int | None = 0) -> Story:
        lost = Forgot(1, Part.VALKEY, 10.5, 10.6, since=0.0, partition=partition)
        return Story().push(10.0).taken(11.0).push(12.0, Cause.TRANSPORT).when(lost)

    assert cause_of_the_second(story()) == "handed back by the transport: the partition had no ledger"
    assert cause_of_the_second(story(partition=1)) == "unexplained"
    assert cause_of_the_second(story().acquired(10.8, 5)) == "unexplained"
    assert cause_of_the_second(story().acquired(10.8, 5, partition=1)).endswith("had no ledger")
    assert cause_of_the_second(story().acquired(10.2, 5).acquired(11.5, 5)).endswith("had no ledger")
    assert cause_of_the_second(story().run(11.2, 11.3)) == "unexplained"


def test_each_taking_is_for_one_return() -> None:
    """What nobody has taken since, or what was acknowledged, isn't handed back; whatever happened."""
    story = Story().push(10.0).taken(11.0).when(Away(1, Part.VALKEY, 12.0, 60.0))
    story.push(44.0, Cause.TRANSPORT).push(44.1, Cause.TRANSPORT).taken(45.0).push(46.0, Cause.TRANSPORT)
    story.taken(47.0).acknowledged(48.0).push(49.0, Cause.TRANSPORT)

    found = [repeat.explanation is not None for repeat in repeated_queueings(story.evidence, LIMITS)]
    assert found == [True, False, True, False]


def test_a_push_that_is_no_hand_back_is_unexplained() -> None:
    """A client puts a copy into the queue and leaves it in `unacked`."""
    story = Story().push(10.0).taken(11.0).push(30.0, Cause.TRANSPORT).when(*WORKER_TROUBLE)
    tag, step = story.steps.pop()
    story.steps.append((tag, Step(step.at, Happened.QUEUED)))

    assert cause_of_the_second(story) == "unexplained"


def test_a_copy_whose_task_had_begun_needs_trouble_of_its_own_process() -> None:
    """Or of that process' worker."""

    def story(*effects: Effect) -> Story:
        return Story().push(10.0).taken(11.0).run(12.0, pid=100).push(30.0, Cause.TRANSPORT).when(*effects)

    assert cause_of_the_second(story(Killed(1, Part.WORKER_CHILD, 13.0, 13.1, 101))) == "unexplained"
    assert cause_of_the_second(story(Killed(1, Part.WORKER, 13.0, 13.1, 98))) == "unexplained"
    assert cause_of_the_second(story(Killed(1, Part.WORKER_CHILD, 13.0, 13.1, 100))).startswith("handed back")
    assert cause_of_the_second(story(Killed(1, Part.WORKER, 13.0, 13.1, WORKER_PID))).startswith("handed back")


@pytest.mark.parametrize("effect", OTHER_TROUBLE)
def test_a_transport_hands_nothing_back_for_other_reasons(effect: Effect) -> None:
    """A consumer's death, or trouble at another time, is no reason."""
    story = Story().push(10.0).taken(11.0).push(30.0, Cause.TRANSPORT).when(effect)

    assert cause_of_the_second(story) == "unexplained"


@pytest.mark.parametrize("effect", [*WORKER_TROUBLE, *REDIS_TROUBLE])
def test_a_redelivery_is_said_and_has_a_reason(effect: Effect) -> None:
    """Both are needed: the consumer's line for this id, and what made its copy vanish."""
    story = Story().push(10.0).push(30.0, Cause.REDELIVERY, copy="1.1.2")
    assert cause_of_the_second(story.said_redelivered(30.1)) == "unexplained"
    assert cause_of_the_second(story.when(effect)).startswith("redelivered: ")


def test_a_redelivery_that_nobody_speaks_of_is_unexplained() -> None:
    """Unless the consumer could not: it died, or lost the reply."""
    story = Story().push(10.0).push(30.0, Cause.REDELIVERY, copy="1.1.2").when(WORKER_TROUBLE[0])
    assert cause_of_the_second(story) == "unexplained"
    assert cause_of_the_second(story.said_redelivered(50.0)) == "unexplained"
    assert cause_of_the_second(story.when(Killed(2, Part.CONSUMER, 30.5, 30.6, 9))).startswith("redelivered: ")


def redelivered(*effects: Effect) -> Story:
    """At 30, as the consumer says; the copy before was queued at 10, and a worker was killed at 12."""
    story = Story().push(10.0).push(30.0, Cause.REDELIVERY, copy="1.1.2").said_redelivered(30.1)
    return story.when(WORKER_TROUBLE[0], *effects)


def test_a_copy_that_a_worker_has_is_not_replaced() -> None:
    """Unless Redis has lost that; or it was acknowledged, though the task had not ended."""
    assert cause_of_the_second(redelivered().taken(11.0)) == "unexplained"
    assert cause_of_the_second(redelivered().taken(11.0).acknowledged(20.0)).startswith("redelivered: ")
    assert cause_of_the_second(redelivered().taken(19.0).forgotten(20.1)) == "unexplained"
    lost = redelivered(Forgot(2, Part.VALKEY, 20.0, 20.1)).taken(19.0).forgotten(20.1)
    assert cause_of_the_second(lost) == "redelivered: Redis lost it or was away"


def test_a_copy_that_is_back_in_the_queue_is_not_replaced() -> None:
    """The worker's trouble is older than its return."""
    story = redelivered().taken(11.0).push(20.0, Cause.TRANSPORT)

    assert [repeat.explanation is not None for repeat in repeated_queueings(story.evidence, LIMITS)] == [True, False]


@pytest.mark.parametrize("appearance", ["taken", "run"])
def test_a_redelivery_of_a_copy_that_was_still_there_is_unexplained(appearance: str) -> None:
    """A worker takes or runs the earlier copy afterwards; unless it had held it, or Redis brought it back."""

    def story(at: float, *effects: Effect) -> Story:
        told = redelivered(*effects)
        return told.taken(at) if appearance == "taken" else told.run(at, at + 0.1)

    assert cause_of_the_second(story(31.0)) == "unexplained"
    assert cause_of_the_second(story(31.0, Held(2, Part.WORKER, 20.0, 30.5, 7))).startswith("redelivered: ")
    assert cause_of_the_second(story(31.0, Held(2, Part.WORKER, 20.0, 24.0, 7))) == "unexplained"
    assert cause_of_the_second(story(41.0, Forgot(2, Part.VALKEY, 35.0, 36.0))).startswith("redelivered: ")


AWAY = Away(2, Part.VALKEY, 11.5, 13.0)


@pytest.mark.parametrize(
    ("effects", "redelivered_at", "explained"),
    [
        ((AWAY,), 30.0, True),
        ((Killed(2, Part.WORKER, 11.5, 11.6, WORKER_PID),), 30.0, True),
        ((), 30.0, False),
        ((Away(2, Part.VALKEY, 31.0, 32.0),), 30.0, False),
        ((Killed(2, Part.WORKER, 11.5, 11.6, WORKER_PID + 1),), 30.0, False),
        ((AWAY,), 20.5, False),
    ],
    ids=["Redis away", "parent killed", "nothing", "Redis away later", "another worker", "the lease had not ended"],
)
def test_a_copy_that_met_a_dead_claim_is_redelivered_when_that_has_ended(
    effects: tuple[Effect, ...], redelivered_at: float, explained: bool
) -> None:
    """Its run ended its own process, nobody released the claim, and the copy that came back was busy."""
    story = Story().of(Behaviour.EXITS).push(10.0).taken(10.9).run(11.0).push(14.0, Cause.TRANSPORT)
    story.taken(14.1).acknowledged(14.2).push(redelivered_at, Cause.REDELIVERY, copy="1.1.2")
    story.said_redelivered(redelivered_at).when(*effects)

    *_, redelivery = repeated_queueings(story.evidence, LIMITS)

    assert (redelivery.explanation is not None) is explained


def test_a_message_that_ends_its_process_comes_back() -> None:
    """No fault is needed for that; but it must have begun, and not ended."""

    def story(ended: float | None) -> Story:
        told = Story().of(Behaviour.EXITS).push(10.0).taken(11.0).push(12.0, Cause.TRANSPORT)
        return told.run(11.1, ended)

    assert cause_of_the_second(story(None)) == "handed back by the transport: its own process ended"
    assert cause_of_the_second(story(11.2)) == "unexplained"


def test_an_unknown_script_explains_nothing() -> None:
    """Whatever happened meanwhile."""
    story = Story().push(10.0).push(30.0, Cause.UNKNOWN).acquired(20.0, 0).when(*WORKER_TROUBLE, *REDIS_TROUBLE)

    assert cause_of_the_second(story) == "unexplained"
