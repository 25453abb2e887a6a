"""How soon the next task was done after each fault, with a limit by kind. Pure, and after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.effects import Part
from tests.chaos.oracle.spans import length_without

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.injection import FaultRecord
    from tests.chaos.oracle.moments import Moments
    from tests.chaos.oracle.spans import Span
    from tests.chaos.outcome import Run

#: While one of these is in trouble nothing can be done, whatever else has healed.
_STOPPING = frozenset({Part.VALKEY, Part.KAFKA, Part.NETWORK})


def slow_recoveries(run: Run, moments: Moments) -> Iterator[str]:
    """Faults after which nothing was done for too long, though the load went on and no server was in trouble."""
    for fault in run.faults:
        seconds = standstill_seconds(fault, run, moments)
        if seconds > fault.recovery_limit:
            yield (
                f"fault {fault.number} ({fault.kind}): no task was done for {seconds:.1f} s after it had healed, "
                f"expected {fault.recovery_limit:g} s at most"
            )


def standstill_seconds(fault: FaultRecord, run: Run, moments: Moments) -> float:
    """From its end to the next task that was done, or to the end of the load; without what other faults stopped."""
    recovery = moments.recovery_seconds(fault.healed)
    end = run.load.ended if recovery is None else min(run.load.ended, fault.healed + recovery)
    return length_without((fault.healed, end), _stopped(fault, run.faults))


def _stopped(fault: FaultRecord, faults: Sequence[FaultRecord]) -> list[Span]:
    """While others stopped everything; and until they had to be over, where this one stops nothing by itself."""
    return [
        (other.at, other.healed + (0.0 if _stops_everything(fault) else other.recovery_limit))
        for other in faults
        if other is not fault and _stops_everything(other)
    ]


def _stops_everything(fault: FaultRecord) -> bool:
    return any(effect.part in _STOPPING for effect in fault.effects)
