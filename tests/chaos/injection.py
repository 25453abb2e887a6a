"""Carries out a plan: each fault at its time, on targets of its own, with enough in flight; and keeps the record."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.faults.catalogue import FAULTS
from tests.chaos.faults.scene import Scene
from tests.chaos.kinds import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.chaos.effects import Effect
    from tests.chaos.plan import Planned
    from tests.chaos.system import System

ENOUGH_IN_FLIGHT = 100
#: How long a fault waits for that many.
WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.02
#: As many faults at once; each of their threads lives as long as the run, and so do the processes that it started.
_THREADS = len(Resource)


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as it was: times are seconds since 1970, `in_flight` was counted right before it.

    `proof` says how it is known to have happened, or, where `proven` is false, what was missing. `recovery_limit` is
    how many seconds after `healed` the next task must be done.
    """

    number: int
    kind: str
    target: str
    killed: str
    at: float
    healed: float
    in_flight: int
    proven: bool
    proof: str
    effects: tuple[Effect, ...]
    recovery_limit: float


class Injector:
    """Runs the faults of one plan."""

    def __init__(self, system: System, plan: Sequence[Planned], tell: Callable[[str], None]) -> None:
        self._system = system
        self._plan = plan
        self._tell = tell
        self._pool = ThreadPoolExecutor(_THREADS, "fault")
        self._locks = {resource: threading.Lock() for resource in Resource}
        self._running: list[Future[FaultRecord]] = []

    def run(self, still_loaded: Callable[[], bool]) -> list[FaultRecord]:
        """Return once every fault is healed and proven, or not."""
        start = time.monotonic()
        for planned in self._plan:
            time.sleep(max(0.0, start + planned.at - time.monotonic()))
            self._running.append(self._pool.submit(self._inject, planned, still_loaded))
        return [future.result() for future in self._running]

    def close(self) -> None:
        """End the threads; what they started must have ended before."""
        self._pool.shutdown(cancel_futures=True)

    def _inject(self, planned: Planned, still_loaded: Callable[[], bool]) -> FaultRecord:
        with ExitStack() as stack:
            for resource in sorted(planned.resources):
                stack.enter_context(self._locks[resource])
            in_flight = self._wait_for_enough(still_loaded)
            scene, at = Scene(self._system, planned), time.time()
            self._tell(f"{planned.number:3} {planned.kind.name} ({planned.target}), {in_flight} in flight ...")
            try:
                proof, proven = FAULTS[planned.kind.name](scene), True
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the fault isn't proven, and the run says so
                proof, proven = f"{type(error).__name__}: {error}", False
            healed = time.time()
            self._tell(f"{planned.number:3} {'' if proven else 'NOT PROVEN: '}{proof} ({healed - at:.1f} s)")
        return FaultRecord(
            planned.number, planned.kind.name, planned.target, planned.kind.killed, at, healed, in_flight, proven,
            proof, tuple(scene.effects), planned.kind.recovery,
        )  # fmt: skip

    def _wait_for_enough(self, still_loaded: Callable[[], bool]) -> int:
        deadline = time.monotonic() + WAIT_SECONDS
        while (count := self._system.progress.in_flight()) < ENOUGH_IN_FLIGHT:
            if time.monotonic() > deadline or not still_loaded():
                break
            time.sleep(_POLL_SECONDS)
        return count
