"""What was lost with Redis: what it forgot itself, and ledgers that a consumer gave up because of that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.effects import Forgot
from tests.chaos.evidence import place_of

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

#: What an acquisition's line calls it; a ledger that went back too far counts as lost, with all that it still holds.
LEDGER_LOST = "ledger_lost"
_CLOCK_SECONDS = 0.2


def lost_with_redis(evidence: Evidence, task_id: str, learned: float, again: float) -> Forgot | None:
    """The fault by which what Redis had learned of a task at `learned` was gone at `again`."""
    partition, offset = place_of(task_id)
    if forgot := evidence.history.forgot(partition, learned, again):
        return forgot
    for line in evidence.acquisitions:
        if (
            line.reason == LEDGER_LOST
            and line.partition == partition
            and line.offset <= offset
            and learned - _CLOCK_SECONDS <= line.at <= again + _CLOCK_SECONDS
            and (forgot := _last_before(evidence, partition, learned, line.at))
        ):
            return forgot
    return None


def _last_before(evidence: Evidence, partition: int, learned: float, at: float) -> Forgot | None:
    found = None
    for effect in evidence.history.effects:
        if (
            isinstance(effect, Forgot)
            and effect.partition in {None, partition}
            and effect.until >= learned
            and effect.at <= at
        ):
            found = effect
    return found
