"""An operator's rewind must be seen: all that had been queued above it comes again. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.chaos.effects import Rewound
from tests.chaos.evidence import place_of
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.sentences import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.evidence import Evidence


def unheeded_rewinds(evidence: Evidence) -> Iterator[str]:
    """Offsets between an operator's target and the former position that were not dispatched again after it."""
    for effect in evidence.history.effects:
        if isinstance(effect, Rewound):
            for partition, target in effect.offsets.items():
                if missing := _missing(evidence, effect.at, partition, target):
                    yield (
                        f"fault {effect.fault}: partition {partition} was rewound to {target}, and {len(missing)} "
                        f"messages were not dispatched again: {some(missing)}"
                    )


def _missing(evidence: Evidence, at: float, partition: int, target: int) -> list[str]:
    moments: dict[int, list[float]] = defaultdict(list)
    for push in evidence.pushes:
        place = place_of(push.task_id)
        if place.partition == partition and push.cause is Cause.DISPATCH:
            moments[place.offset].append(push.at)
    # A loss in Redis may have hidden single dispatches from MONITOR: the position lies behind the highest that it saw.
    former = max((offset for offset, times in moments.items() if times and min(times) < at), default=-1)
    return [
        task_id
        for task_id, behaviour in evidence.log.items()
        if behaviour is not Behaviour.INVALID
        and place_of(task_id).partition == partition
        and target <= place_of(task_id).offset <= former
        and not any(moment >= at for moment in moments[place_of(task_id).offset])
    ]
