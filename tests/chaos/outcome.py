"""What the harness itself knows of a run, besides the evidence that the run left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.drain import Drained
    from tests.chaos.ferry_counts import FerryCounts
    from tests.chaos.injection import FaultRecord
    from tests.chaos.load import Sent
    from tests.chaos.services import Stop, UnexpectedExit
    from tests.chaos.ticks import Tick


@dataclass(frozen=True, slots=True)
class Run:
    """All of it.

    `stops` has every process that the harness asked to end. `servers_started` are the run ids of the Valkeys in the
    order of their starts, `servers_observed` those that the observer attached to. `partitions` is how many the topic
    had at the end.
    """

    load: Sent
    faults: Sequence[FaultRecord]
    unexpected_exits: Sequence[UnexpectedExit]
    stops: Sequence[Stop]
    drained: Drained
    partitions: int
    keys_left: Sequence[str]
    servers_started: Sequence[str]
    servers_observed: Sequence[str]
    ticks: Sequence[Tick]
    counts: FerryCounts
    harness_cpu_seconds: float
