"""Second runs of messages that were in a batch: what explains them, and that nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Part
from tests.chaos.evidence import Execution
from tests.chaos.limits import Limits
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.batches import PROGRESS_SECONDS, RECORDING_SECONDS, Turn, taken_at, turn_of
from tests.chaos.oracle.endings import wrong_endings
from tests.chaos.oracle.executions import repeated_executions
from tests.unit.chaos.story import BATCH, BATCHED, TASK, Story

#: Soft limit 4.5 s, half of it 2.25 s.
LIMITS = Limits(hard_seconds=5, margin_seconds=5, batch_size=5)
ALONE = "1.2.1"


def causes(story: Story) -> dict[str, str]:
    """Of each second run."""
    return {repeat.task_id: repeat.cause for repeat in repeated_executions(story.evidence, LIMITS)}


def again(story: Story, at: float, *indices: int, cause: Cause = Cause.SPLIT) -> Story:
    """These messages of the batch run again, each by itself."""
    for index in indices:
        story.push(at, cause, copy=ALONE, task_id=BATCHED[index])
        story.run(at + 0.1, at + 0.2, pid=101, copy=ALONE, task_id=BATCHED[index])
    return story


def killed_in_the_third(*times: tuple[float, float | None], effects: tuple[Effect, ...] = ()) -> Story:
    """A batch whose process is killed at 11, 20 s before all of what ran runs again."""
    story = Story().push_batch(9.0).taken(9.5, task=BATCH).runs_in_batch(*times)
    effects = effects or (Killed(1, Part.WORKER_CHILD, 11.0, 11.1, 100),)
    return again(story.when(*effects), 31.0, *range(len(times)))


def test_what_a_killed_process_had_not_told_runs_again() -> None:
    """What ended within 50 ms before the message under way began, and that one; nothing that ended before."""
    found = causes(killed_in_the_third((10.0, 10.01), (10.9, 10.94), (10.95, 10.97), (10.98, None)))

    assert found == {
        BATCHED[0]: "unexplained",
        BATCHED[1]: "its process was killed before its end was recorded",
        BATCHED[2]: "its process was killed before its end was recorded",
        BATCHED[3]: "its process was killed",
    }


def test_a_long_message_under_way_holds_up_what_is_told_of_those_before() -> None:
    """However long it runs: 3 s here, more than it takes to record an end."""
    found = causes(killed_in_the_third((7.9, 7.91), (7.92, None)))
    assert set(found.values()) == {"its process was killed before its end was recorded", "its process was killed"}

    told = causes(killed_in_the_third((7.9, 7.91), (7.92, 7.97), (7.98, None)))
    assert told[BATCHED[0]] == "unexplained"
    assert told[BATCHED[1]] == "its process was killed before its end was recorded"


def test_what_was_told_was_not_taken_along_by_an_orphan() -> None:
    """Whose end is only known to lie in a while."""
    orphaned = Killed(1, Part.WORKER_CHILD, 9.9, 20.0, 100)
    found = causes(killed_in_the_third((10.0, 10.01), (10.9, 10.94), (10.95, None), effects=(orphaned,)))

    assert found[BATCHED[0]] == "unexplained"
    assert found[BATCHED[1]] == "its process was killed before its end was recorded"


def test_a_redis_that_was_away_explains_only_what_was_to_be_recorded_then() -> None:
    """Not what a process took along that ended in the middle of a message."""
    away = Away(1, Part.VALKEY, 10.96, 12.0)
    cause = "Redis was away when its end was to be recorded"
    assert causes(killed_in_the_third((10.9, 10.94), effects=(away,))) == {BATCHED[0]: cause}
    found = causes(killed_in_the_third((10.9, 10.94), (10.95, None), effects=(away,)))
    assert found == dict.fromkeys(BATCHED[:2], "unexplained")


def test_another_processs_death_explains_nothing_of_a_batch() -> None:
    """Nor does its own, long after its last message."""
    for effect in (Killed(1, Part.WORKER_CHILD, 11.0, 11.1, 101), Killed(1, Part.WORKER_CHILD, 14.0, 14.1, 100)):
        assert set(causes(killed_in_the_third((10.9, 10.92), (10.93, 10.95), effects=(effect,))).values()) == {
            "unexplained"
        }


def test_another_message_can_end_the_process() -> None:
    """With what ran in the 50 ms before; what was told long ago has ended."""
    story = Story().of(Behaviour.EXITS, BATCHED[2]).push_batch(9.0).taken(9.5, task=BATCH)
    found = causes(again(story.runs_in_batch((10.0, 10.01), (10.9, 10.91), (10.92, None)), 12.0, 0, 1, 2))

    assert found == {
        BATCHED[0]: "unexplained",
        BATCHED[1]: "another message of its batch ended its process before its end was recorded",
        BATCHED[2]: "its process ended itself",
    }


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (Behaviour.HANGS, "its batch ran into its hard limit: a message hangs"),
        (Behaviour.SLOW, "its batch ran into its hard limit: a message slow"),
        (Behaviour.ORDINARY, "unexplained"),
    ],
)
def test_a_batch_at_its_hard_limit_runs_again_from_what_was_told(behaviour: Behaviour, cause: str) -> None:
    """5 s after it began: only if a message took so long."""
    story = Story().of(behaviour, BATCHED[2]).push_batch(9.0).taken(9.5, task=BATCH)
    story.runs_in_batch((10.0, 10.01), (12.2, 12.21), (12.22, None))

    assert causes(again(story, 15.1, 0, 1))[BATCHED[0]] == "unexplained"
    assert causes(story)[BATCHED[1]] == cause
    early = Story().of(behaviour, BATCHED[1]).push_batch(9.0).taken(9.5, task=BATCH)
    early.runs_in_batch((10.0, 10.01), (10.02, None))
    assert causes(again(early, 14.0, 0)) == {BATCHED[0]: "unexplained"}


def test_a_message_that_hangs_in_a_batch_has_the_batchs_limit() -> None:
    """5 s after the batch began, not after itself."""
    story = Story().of(Behaviour.HANGS, BATCHED[1]).push_batch(9.0).taken(9.5, task=BATCH)
    story.runs_in_batch((10.0, 12.0), (12.1, None))

    assert causes(again(story, 15.1, 1)) == {BATCHED[1]: "it hung until its hard limit"}


def test_a_process_that_stood_still_or_waited_for_redis_runs_into_the_limit() -> None:
    """Its own; and the limit must be over."""

    def story(effect: Effect, at: float) -> dict[str, str]:
        told = Story().push_batch(9.0).taken(9.5, task=BATCH).runs_in_batch((10.0, 10.01), (10.02, 10.03)).when(effect)
        return causes(again(told, at, 0))

    held, other = (Held(1, Part.WORKER_CHILD, 10.02, 18.0, pid) for pid in (100, 101))
    assert story(held, 15.1)[TASK] == "its batch ran into its hard limit: its process stood still"
    assert story(other, 15.1)[TASK] == "unexplained"
    assert story(Away(1, Part.VALKEY, 10.1, 18.0), 15.1)[TASK] == "Redis was away when its end was to be recorded"


def test_a_soft_limit_puts_off_the_message_under_way() -> None:
    """As a retry; only the last that ran, and not before 4.5 s."""

    def story(slow_from: float, at: float, cause: Cause = Cause.RETRY) -> dict[str, str]:
        told = Story().push_batch(9.0).taken(9.5, task=BATCH)
        return causes(again(told.runs_in_batch((10.0, 10.01), (slow_from, None)), at, 0, 1, cause=cause))

    assert story(12.0, 15.6) == {BATCHED[0]: "unexplained", BATCHED[1]: "put off: its batch's soft limit struck"}
    assert story(10.02, 14.0)[BATCHED[1]] == "unexplained"
    assert story(12.0, 15.6, cause=Cause.SPLIT)[BATCHED[1]] == "unexplained"
    another = Story().push_batch(9.0).taken(9.5, task=BATCH).runs_in_batch((10.0, 14.6), (14.7, 14.8))
    assert causes(again(another, 15.6, 0, cause=Cause.RETRY)) == {BATCHED[0]: "unexplained"}


def test_what_redis_forgot_of_a_batch_is_its_claim_or_its_progress() -> None:
    """The claim was made before the first message ran; an end is told with those of later ones."""

    def story(forgot: Forgot) -> dict[str, str]:
        told = Story().push_batch(9.0).taken(9.5, task=BATCH).when(forgot)
        return causes(again(told.runs_in_batch((10.0, 10.01), (13.0, 13.01), (13.02, 13.1), (13.2, 13.3)), 31.0, 1))

    claim = "the record of its claim was lost with Redis"
    assert story(Forgot(1, Part.VALKEY, 10.5, 10.6, since=9.9)) == {BATCHED[1]: claim}
    assert story(Forgot(1, Part.VALKEY, 12.0, 12.1, since=11.5)) == {BATCHED[1]: "unexplained"}
    assert story(Forgot(1, Part.VALKEY, 14.0, 14.1, since=13.05)) == {
        BATCHED[1]: "the record of its end was lost with Redis"
    }
    assert story(Forgot(1, Part.VALKEY, 14.0, 14.1, since=13.5)) == {BATCHED[1]: "unexplained"}


def test_the_retry_of_a_batchs_message_is_one() -> None:
    """The next attempt, alone."""
    story = Story().push_batch(9.0).run(10.0, 10.1, "asked", batch=True)
    assert causes(again(story, 12.0, 0, cause=Cause.RETRY)) == {TASK: "the task asked for a retry"}


def test_a_batch_neither_hangs_nor_fails_at_a_limit() -> None:
    """Its message goes on by itself: a dead letter needs runs of its own."""

    def reason_of(story: Story, reason: str) -> list[str]:
        return [repeat.cause for repeat in wrong_endings(story.dead(30.0, reason).evidence)]

    hung = Story().of(Behaviour.HANGS).push_batch(9.0).taken(9.5, task=BATCH).run(10.0, batch=True)
    assert reason_of(hung, "TimeLimitExceeded") == ["unexplained"]
    alone = Story().of(Behaviour.HANGS).push(9.0).run(10.0)
    assert reason_of(alone, "TimeLimitExceeded") == []

    def killed(batch: bool) -> Story:
        story = Story().push_batch(1.0).push(9.0, Cause.SPLIT, copy=ALONE)
        for number in range(3):
            at = 10.0 + number
            story.run(at, copy=ALONE, batch=batch and number == 0, pid=number)
            story.when(Killed(number, Part.WORKER_CHILD, at + 0.1, at + 0.2, number))
        return story

    assert reason_of(killed(batch=True), "poison") == ["unexplained"]
    assert reason_of(killed(batch=False), "poison") == ["so many of its runs were ended with their processes"]


def test_a_batch_begun_again_has_another_turn() -> None:
    """In another process, or in the same one after Redis lost that it had been begun."""
    story = Story().push_batch(9.0).runs_in_batch((10.0, 10.1), (10.2, 10.3)).runs_in_batch((10.1, 10.2), pid=101)
    story.runs_in_batch((20.0, 20.1), (20.2, 20.3), (20.4, 20.5))
    evidence = story.evidence

    turns = [turn_of(evidence, run) for run in evidence.executions]
    assert [(turn.began, len(turn.runs)) for turn in turns] == [(10.0, 2)] * 2 + [(10.1, 1)] + [(20.0, 3)] * 3


def test_a_batch_was_taken_when_a_worker_took_it() -> None:
    """The last time until then; what a restarted server shows as taken had been taken before."""
    story = Story().push_batch(9.0).taken(10.0, task=BATCH).forgotten(12.0, task=BATCH).taken(12.1, task=BATCH)
    tag = f"ledger/{BATCH}/1.1.1"
    assert [taken_at(story.evidence, tag, at) for at in (9.9, 11.0, 20.0)] == [None, 10.0, 10.0]

    story.push_batch(13.0, Cause.TRANSPORT).taken(14.0, task=BATCH)
    assert taken_at(story.evidence, tag, 20.0) == 14.0
    found = Story().forgotten(12.0, task=BATCH).taken(12.1, task=BATCH)
    assert taken_at(found.evidence, tag, 20.0) == 12.1


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=30), st.booleans())
def test_every_end_is_told_within_50_ms_and_one_message(lengths: list[float], dies: bool) -> None:
    """By the reckoning that a worker itself does: told once 50 ms are over since it told the last time."""
    runs: list[Execution] = []
    told: dict[int, float] = {}
    at = told_at = 100.0
    for index, length in enumerate(lengths):
        started, at = at, at + length
        is_last = index == len(lengths) - 1
        ended = None if is_last and dies else at
        runs.append(Execution(f"chaos-0-{index}", "tag", index, 1, 1, started, ended, "done"))
        if ended is not None and (ended - told_at >= PROGRESS_SECONDS or is_last):
            told |= dict.fromkeys(range(len(told), index + 1), ended)
            told_at = ended
    turn = Turn(runs)

    for index, run in enumerate(runs):
        if index in told and run.ended is not None:
            assert told[index] <= turn.told_by(run) + 1e-9
        else:
            assert turn.told_by(run) == float("inf")
        if run.ended is not None and turn.told_by(run) < float("inf"):
            assert turn.told_by(run) <= run.ended + PROGRESS_SECONDS + max(lengths) + RECORDING_SECONDS + 1e-9
