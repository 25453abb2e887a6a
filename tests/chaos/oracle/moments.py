"""How many messages were in flight at a moment, and how soon the next one was done. Pure, and after the fact."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


class Moments:
    """Computed from first queueings, ends by the task's own word, and dead letters."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def in_flight(self, at: float) -> int:
        """Messages that had been queued and had not ended."""
        return bisect_right(self._begun, at) - bisect_right(self._over, at)

    def recovery_seconds(self, healed: float) -> float | None:
        """From the end of a fault to the next task that was done; None if there was none."""
        index = bisect_right(self._done, healed)
        return self._done[index] - healed if index < len(self._done) else None

    @cached_property
    def _begun(self) -> list[float]:
        return sorted(pushes[0].at for pushes in self._evidence.pushes_of.values())

    @cached_property
    def _over(self) -> list[float]:
        return sorted(self._end(task_id) for task_id in self._evidence.pushes_of)

    def _end(self, task_id: str) -> float:
        """The first of its ends, but never before it was queued."""
        ends = [
            run.ended
            for run in self._evidence.executions_of.get(task_id, ())
            if run.ended is not None and run.how in {"done", "raised"}
        ]
        ends += [letter.at for letter in self._evidence.dead_letters_of.get(task_id, ())]
        return max(min(ends, default=float("inf")), self._evidence.pushes_of[task_id][0].at)

    @cached_property
    def _done(self) -> list[float]:
        return sorted(run.ended for run in self._evidence.executions if run.how == "done" and run.ended is not None)
