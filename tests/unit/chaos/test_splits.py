"""Messages that leave their batch one by one: what explains it, and that nothing else does."""

from dataclasses import replace

import pytest

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Left, Part
from tests.chaos.limits import Limits
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.queueings import repeated_queueings
from tests.chaos.oracle.splits import wrong_batches
from tests.unit.chaos.story import BATCH, BATCHED, TASK, WORKER_PID, Story

#: Half of the soft limit is 2.25 s.
LIMITS = Limits(batch_size=5)
ALONE = "1.2.1"
#: The batch's last message.
LAST = BATCHED[-1]


def taken() -> Story:
    """A batch, and the worker that has it."""
    return Story().push_batch(9.0).taken(9.5, task=BATCH)


def last_cause(story: Story, task_id: str = LAST) -> str:
    """The cause of an id's last queueing."""
    *_, last = [repeat for repeat in repeated_queueings(story.evidence, LIMITS) if repeat.task_id == task_id]
    return last.cause


def split(story: Story, at: float, copy: str = ALONE) -> str:
    """The cause of its last message's queueing by a worker."""
    return last_cause(story.push(at, Cause.SPLIT, copy=copy, task_id=LAST))


def test_a_batch_ends_when_half_of_the_soft_limit_is_over() -> None:
    """By its own process' first line, since the worker took it; not sooner."""
    assert split(taken().runs_in_batch((10.0, 12.5)), 12.6) == "split: half of its soft limit was over"
    assert split(taken().runs_in_batch((10.0, 11.5)), 11.6) == "unexplained"
    assert split(taken(), 12.6) == "unexplained"
    assert split(Story().push_batch(9.0).runs_in_batch((10.0, 12.5)), 12.6) == "unexplained"


@pytest.mark.parametrize("copy", ["1.1.1", "1.3.1", "2.2.1"])
def test_what_leaves_a_batch_has_its_next_attempt(copy: str) -> None:
    """Of the same epoch."""
    assert split(taken().runs_in_batch((10.0, 12.5)), 12.6, copy) == "unexplained"


def test_what_was_in_no_batch_is_not_split_off() -> None:
    """It was queued by itself."""
    assert split(Story().push(9.0, task_id=LAST), 12.6) == "unexplained"


@pytest.mark.parametrize(
    ("effect", "explained"),
    [
        (Away(1, Part.VALKEY, 9.6, 12.0), True),
        (Held(1, Part.WORKER_CHILD, 9.6, 12.0, 100), True),
        (Away(1, Part.KAFKA, 9.6, 12.0), False),
        (Away(1, Part.VALKEY, 5.0, 6.0), False),
    ],
)
def test_a_claim_that_waited_leaves_less_time(effect: Effect, *, explained: bool) -> None:
    """For Redis, or in a process that stood still: it counts from there."""
    assert (split(taken().runs_in_batch((12.0, 12.1)).when(effect), 12.2) != "unexplained") is explained
    assert (split(taken().when(effect), 12.2) != "unexplained") is explained


def handed_back(*effects: Effect, runs: bool) -> Story:
    """The worker's batch goes to another one, which splits it at once."""
    story = taken()
    if runs:
        story.runs_in_batch((10.0, 10.1), (10.2, None))
    return story.push_batch(11.0, Cause.TRANSPORT).taken(11.1, task=BATCH).when(*effects)


def test_a_batch_that_was_begun_before_is_split() -> None:
    """A task of it tells."""
    killed = Killed(1, Part.WORKER_CHILD, 10.5, 10.6, 100)
    assert split(handed_back(killed, runs=True), 11.2) == "split: its batch had been claimed before"
    assert split(taken().runs_in_batch((10.0, 10.1), (10.2, None)).when(killed), 11.2) == "unexplained"
    only_taken = taken().runs_in_batch((10.0, 10.1), (10.2, None)).taken(11.1, task=BATCH).when(killed)
    assert split(only_taken, 11.2) == "unexplained"


@pytest.mark.parametrize(
    ("effects", "explained"),
    [
        ((Killed(1, Part.WORKER, 10.5, 10.6, WORKER_PID),), True),
        ((Away(1, Part.VALKEY, 10.5, 10.6),), True),
        ((Left(1, Part.WORKER, 10.5, 10.6, WORKER_PID),), False),
        ((), False),
    ],
    ids=["killed", "Redis away", "left", "nothing"],
)
def test_a_batch_that_may_have_been_claimed_before_is_split(effects: tuple[Effect, ...], *, explained: bool) -> None:
    """Its worker died, or never had its claim's answer; one that left in peace had only reserved it."""
    assert (split(handed_back(*effects, runs=False), 11.2) != "unexplained") is explained


def test_a_batch_comes_back_at_its_hard_limit() -> None:
    """From its own worker, which lives on, for each of its messages; only where one took so long."""

    def story(behaviour: Behaviour, at: float) -> set[str]:
        told = taken().of(behaviour, BATCHED[1]).runs_in_batch((10.0, 10.1), (10.2, None))
        repeats = list(repeated_queueings(told.push_batch(at, Cause.TRANSPORT).evidence, LIMITS))
        assert len(repeats) == len(BATCHED)
        return {repeat.cause for repeat in repeats}

    assert story(Behaviour.HANGS, 15.1) == {
        "handed back by the transport: its batch ran into its hard limit: a message hangs"
    }
    assert story(Behaviour.HANGS, 14.0) == {"unexplained"}
    assert story(Behaviour.ORDINARY, 15.1) == {"unexplained"}


def test_a_message_of_a_batch_ends_its_process() -> None:
    """And the whole batch comes back."""
    story = taken().of(Behaviour.EXITS, BATCHED[1]).runs_in_batch((10.0, 10.1), (10.2, None))
    assert last_cause(story.push_batch(11.0, Cause.TRANSPORT)) == "handed back by the transport: its own process ended"


def test_a_batch_whose_tasks_had_begun_needs_trouble_of_its_own_process() -> None:
    """Whichever of them had."""

    def cause(pid: int) -> str:
        story = taken().runs_in_batch((10.0, 10.1), (10.2, None)).when(Killed(1, Part.WORKER_CHILD, 10.5, 10.6, pid))
        return last_cause(story.push_batch(11.0, Cause.TRANSPORT))

    assert cause(101) == "unexplained"
    assert cause(100) == "handed back by the transport: a worker died, stood still or left"


def put_off(at: float, began: float, cause: Cause = Cause.RETRY) -> str:
    """The soft limit strikes in the last message, which began at that moment; it is queued as a retry."""
    story = taken().runs_in_batch((10.0, 10.1)).runs_in_batch((began, None), first=4)
    return last_cause(story.push(at, cause, copy=ALONE, task_id=LAST))


def test_a_message_at_its_batchs_soft_limit_is_retried() -> None:
    """4.5 s after the batch began, and not before; another one that ran is not."""
    assert put_off(15.6, 12.0) == "put off: its batch's soft limit struck"
    assert put_off(14.0, 12.0) == "unexplained"
    first = taken().runs_in_batch((10.0, 10.1), (12.0, None)).push(15.6, Cause.RETRY, copy=ALONE)
    assert last_cause(first, TASK) == "unexplained"


def test_the_retry_that_a_batchs_message_asks_for() -> None:
    """Once."""
    story = taken().of(Behaviour.RETRIES).run(10.0, 10.1, "asked", batch=True).push(12.0, Cause.RETRY, copy=ALONE)
    assert last_cause(story, TASK) == "the task asked for a retry"
    assert last_cause(story.push(13.0, Cause.RETRY, copy=ALONE), TASK) == "unexplained"


KILLED = Killed(1, Part.WORKER, 9.6, 9.7, WORKER_PID)


def divided(story: Story, *effects: Effect, said: bool = True) -> Story:
    """A consumer divides the batch at 30, and says so."""
    if said:
        story.said_redelivered(30.1)
    return story.push(30.0, Cause.DIVISION, copy=ALONE).when(*effects)


def test_a_batch_that_had_vanished_is_divided() -> None:
    """The consumer says so, and something made it vanish: both."""
    assert last_cause(divided(Story().push_batch(9.0), KILLED), TASK).startswith("redelivered: a worker died")
    assert last_cause(divided(Story().push_batch(9.0)), TASK) == "unexplained"
    assert last_cause(divided(Story().push_batch(9.0), KILLED, said=False), TASK) == "unexplained"
    lost_reply = Killed(2, Part.CONSUMER, 30.1, 30.2, 7)
    assert last_cause(divided(Story().push_batch(9.0), KILLED, lost_reply, said=False), TASK).startswith("redelivered")


def test_a_division_that_redis_forgot_comes_again() -> None:
    """The batch is there again, and its message still isn't."""
    story = divided(Story().push_batch(9.0), KILLED).forgotten(32.0, task=BATCH)
    story.said_redelivered(50.1).push(50.0, Cause.DIVISION, copy=ALONE)
    assert last_cause(story, TASK) == "unexplained"
    story.when(Forgot(1, Part.VALKEY, 31.0, 32.0, since=28.0))
    assert last_cause(story, TASK) == "redelivered: Redis lost it or was away"


def test_a_batch_that_a_worker_has_is_not_divided() -> None:
    """Nor one that a worker takes, or runs, afterwards."""
    assert last_cause(divided(taken(), KILLED), TASK) == "unexplained"
    assert last_cause(divided(Story().push_batch(9.0), KILLED).taken(31.0, task=BATCH), TASK) == "unexplained"
    ran = divided(Story().push_batch(9.0), KILLED).run(31.0, 31.1, batch=True)
    assert last_cause(ran, TASK) == "unexplained"


def test_a_batch_that_met_its_own_dead_claim_is_divided() -> None:
    """Its worker got no answer from Redis, and neither did its release; the copy that came back was busy."""

    def story(*effects: Effect) -> Story:
        told = taken().runs_in_batch((10.0, 10.1)).push_batch(14.0, Cause.TRANSPORT).taken(14.1, task=BATCH)
        return divided(told.acknowledged(14.2, task=BATCH), *effects)

    assert last_cause(story(Away(1, Part.VALKEY, 10.1, 13.0)), TASK).endswith("its claim could not be released")
    assert last_cause(story(), TASK) == "unexplained"


def test_a_message_that_left_its_batch_can_vanish() -> None:
    """By its own copies; and by its batch where Redis lost that it had left."""
    left = taken().runs_in_batch((10.0, 12.5)).push(13.0, Cause.SPLIT, copy=ALONE)
    left.push(30.0, Cause.REDELIVERY, copy="1.2.2").said_redelivered(30.1)
    assert last_cause(left, TASK) == "unexplained"
    assert last_cause(left.when(replace(KILLED, at=14.0, until=14.1)), TASK).startswith("redelivered: a worker died")

    forgot = Forgot(1, Part.VALKEY, 15.0, 15.1, partition=0)
    lost = taken().runs_in_batch((10.0, 12.5)).acknowledged(13.1, task=BATCH).said_redelivered(30.1)
    lost.push(30.0, Cause.REDELIVERY, copy="1.1.2")
    assert last_cause(lost, TASK) == "unexplained"
    assert last_cause(lost.when(forgot), TASK) == "redelivered: Redis lost it or was away"


def test_what_nobody_saw_leave_its_batch_needs_one_of_the_three_reasons() -> None:
    """Split off, retried or divided; no reason, no explanation."""

    def cause(story: Story) -> str:
        return last_cause(story.push(30.0, Cause.LEFT_BATCH, copy=ALONE), TASK)

    assert cause(taken().runs_in_batch((10.0, 12.5))) == "split: half of its soft limit was over"
    assert cause(taken().run(10.0, 10.1, "asked", batch=True)) == "the task asked for a retry"
    assert cause(Story().push_batch(9.0).when(KILLED).said_redelivered(30.1)).startswith("redelivered: ")
    assert cause(taken().runs_in_batch((29.0, 29.5))) == "unexplained"
    assert cause(Story().push_batch(9.0)) == "unexplained"


def test_a_run_with_batches_has_batches_and_none_too_large() -> None:
    """Half of the messages, or it says nothing of batches."""
    batch, singles = Story().push_batch(1.0), Story().push_batch(1.0)
    for offset in range(10, 16):
        singles.push(1.0, task_id=f"chaos-0-{offset}")

    assert list(wrong_batches(batch.evidence, LIMITS)) == []
    assert "5 of 11 messages were in batches" in next(wrong_batches(singles.evidence, LIMITS))
    for size in (1, 4):
        assert "up to 5 messages, expected" in next(wrong_batches(batch.evidence, Limits(batch_size=size)))
    assert list(wrong_batches(Story().push(1.0).evidence, Limits())) == []
    assert "0 of 1 messages were in batches" in next(wrong_batches(Story().push(1.0).evidence, LIMITS))
