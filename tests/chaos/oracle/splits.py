"""What a worker split off a batch needs a reason: its time was up, or another worker had had it before. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Full, Held, Killed, Part
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.batches import CLOCK_SECONDS, held_since, taken_at, turns_of
from tests.chaos.oracle.explanation import Explanation
from tests.chaos.tags import Tag, is_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.effects import Effect
    from tests.chaos.evidence import Evidence
    from tests.chaos.limits import Limits
    from tests.chaos.monitor_lines import Push

_PARTS = {Part.VALKEY, Part.WORKER, Part.WORKER_CHILD}
#: Of all first queueings in a run with batches; what is alone between two invalid messages comes by itself.
LEAST_BATCHED_SHARE = 0.5


def split_off(evidence: Evidence, limits: Limits, push: Push) -> Explanation | None:
    """Why a message of a batch was queued by itself by the worker that had the batch."""
    batch = _batch_before(evidence, push)
    if batch is None or not Tag.of(push.tag).is_attempt_after(Tag.of(batch.tag)):
        return None
    taken = taken_at(evidence, batch.tag, push.at)
    if taken is None:
        return None
    return _claimed_before(evidence, batch, taken, push) or _out_of_time(evidence, limits, batch.tag, taken, push.at)


def wrong_batches(evidence: Evidence, limits: Limits) -> Iterator[str]:
    """Batches larger than they may be, and a run with batches that had too few."""
    sizes = {push.tag: len(Tag.of(push.tag).task_ids) for push in evidence.pushes if is_batch(push.tag)}
    if too_large := {tag: size for tag, size in sizes.items() if size > limits.batch_size}:
        yield f"{len(too_large)} batches have up to {max(too_large.values())} messages, expected {limits.batch_size}"
    first = [pushes[0] for pushes in evidence.pushes_of.values()]
    batched = sum(is_batch(push.tag) for push in first)
    if limits.batch_size > 1 and batched < len(first) * LEAST_BATCHED_SHARE:
        yield f"{batched} of {len(first)} messages were in batches, expected half or more: the run doesn't count"


def _batch_before(evidence: Evidence, push: Push) -> Push | None:
    earlier = [other for other in evidence.pushes_of[push.task_id] if other.at <= push.at and is_batch(other.tag)]
    return earlier[-1] if earlier else None


def _claimed_before(evidence: Evidence, batch: Push, taken: float, push: Push) -> Explanation | None:
    """It was handed back, with a task of it begun, or with trouble right when it may have been claimed.

    What a worker had only reserved, and gave back as it left, is still a batch.
    """
    handed_back = [
        other.at
        for other in evidence.pushes_of[push.task_id]
        if other.tag == batch.tag and other.cause is Cause.TRANSPORT and other.at <= taken + CLOCK_SECONDS
    ]
    if not handed_back:
        return None
    why = "split: its batch had been claimed before"
    if any(run.started < taken for run in evidence.executions_with.get(batch.tag, ())):
        return Explanation(why)
    kinds, first = (Killed, Held, Away, Forgot, Full), taken_at(evidence, batch.tag, handed_back[0])
    effect: Effect | None = evidence.history.touching(kinds, _PARTS, first or handed_back[0], taken)
    return Explanation(why, effect.fault) if effect else None


def _out_of_time(evidence: Evidence, limits: Limits, tag: str, taken: float, at: float) -> Explanation | None:
    turns = [turn for turn in turns_of(evidence, tag) if taken - CLOCK_SECONDS <= turn.began <= at]
    if turns:
        over = held_since(evidence, turns[-1]) + limits.batch_seconds - CLOCK_SECONDS
        return Explanation("split: half of its soft limit was over") if at >= over else None
    delay = evidence.history.touching((Held, Away, Forgot, Full), _PARTS, taken, at)
    if delay and at >= taken + limits.batch_seconds:
        return Explanation("split: half of its soft limit was over before it had begun", delay.fault)
    return None
