"""What was lost with Redis: what it forgot itself, and ledgers that a consumer gave up because of that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.commits import ANSWER_SECONDS
from tests.chaos.evidence import LEDGER_LOST, place_of

if TYPE_CHECKING:
    from tests.chaos.effects import Forgot
    from tests.chaos.evidence import Evidence

#: A log's time is rounded down to a millisecond, MONITOR's and the task's are those of the same host.
_CLOCK_SECONDS = 0.2


def lost_with_redis(evidence: Evidence, task_id: str, learned: float, again: float) -> Forgot | None:
    """The loss by which what Redis had learned of a task at `learned` was gone at `again`: the last one before that."""
    partition, _ = place_of(task_id)
    candidates = (_forgotten(evidence, partition, learned, again), _given_up(evidence, task_id, learned, again))
    return max((loss for loss in candidates if loss), key=lambda loss: loss.until, default=None)


def dispatched_after_loss(evidence: Evidence, task_id: str, learned: float, again: float) -> Forgot | None:
    """The same for what a consumer dispatches again because of it: only what was not yet committed when it was lost."""
    loss = lost_with_redis(evidence, task_id, learned, again)
    return loss if loss and not was_committed(evidence, task_id, loss.at) else None


def was_committed(evidence: Evidence, task_id: str, moment: float) -> bool:
    """Kafka had, surely, a commit above it by then, and no operator had set another since that was seen."""
    partition, offset = place_of(task_id)
    sample = evidence.commits.before(partition, moment)
    if sample is None or offset >= sample.offset:
        return False
    return evidence.history.rewound(partition, offset, sample.at - ANSWER_SECONDS, moment) is None


def _forgotten(evidence: Evidence, partition: int, learned: float, again: float) -> Forgot | None:
    found = None
    for effect in _losses(evidence, partition):
        if effect.since <= learned <= effect.until and effect.at <= again:
            found = effect
    return found


def _given_up(evidence: Evidence, task_id: str, learned: float, again: float) -> Forgot | None:
    """A consumer gave the ledger up in between, and Redis had lost something since the partition was last taken up."""
    place = place_of(task_id)
    found = None
    for line in evidence.taken_up(place, learned - _CLOCK_SECONDS, again + _CLOCK_SECONDS, LEDGER_LOST):
        taken_up = _taken_up_before(evidence, place.partition, line.at)
        for effect in _losses(evidence, place.partition):
            if taken_up <= effect.until + _CLOCK_SECONDS and effect.at <= line.at:
                found = effect
    return found


def _taken_up_before(evidence: Evidence, partition: int, moment: float) -> float:
    return max(
        (line.at for line in evidence.acquisitions if line.partition == partition and line.at < moment), default=0.0
    )


def _losses(evidence: Evidence, partition: int) -> list[Forgot]:
    """In the order of their time."""
    return sorted(evidence.history.losses(partition), key=lambda loss: loss.until)
