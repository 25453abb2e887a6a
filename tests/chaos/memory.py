"""The memory of Ferry's processes over a run, by role: does it grow?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import psutil

from tests.chaos.effects import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.system import System

SAMPLE_SECONDS = 5.0
ROLES = (Part.CONSUMER, Part.WORKER, Part.WORKER_CHILD, Part.BEAT)
#: From one quarter of the run to the next. In the first half processes reach what they need at most: the memory that
#: catching up takes stays with them. What goes on growing after that is a leak.
MOST_GROWTH = 0.025


@dataclass(frozen=True, slots=True)
class Sample:
    """A process' resident memory, so many seconds into the run.

    Shared pages count in full: a page that a fork shares, or that a process makes its own again, changes nothing.
    """

    at: float
    role: Part
    pid: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """One role: the mean of the processes that lived from the first quarter to the end, in bytes."""

    role: Part
    processes: int
    third_quarter: float
    last_quarter: float

    @property
    def share(self) -> float:
        """0.02: 2 % more in the last quarter."""
        return self.last_quarter / self.third_quarter - 1 if self.third_quarter else 0.0


def as_table(samples: Sequence[Sample]) -> str:
    """All samples, one a line with tabs, to draw a curve from: seconds, role, process, bytes."""
    return "".join(f"{sample.at:.1f}\t{sample.role}\t{sample.pid}\t{sample.bytes}\n" for sample in samples)


def growth_of(samples: Sequence[Sample], seconds: float) -> list[Growth]:
    """Compare the last two quarters, role by role; a process that started after the first one or ended is left out."""
    windows = ((seconds / 2, seconds * 3 / 4), (seconds * 3 / 4, seconds))
    found = []
    for role in ROLES:
        own = [sample for sample in samples if sample.role is role]
        parts = [[sample for sample in own if start <= sample.at < end] for start, end in windows]
        lasting = {sample.pid for sample in own if sample.at < seconds / 4} & {sample.pid for sample in parts[1]}
        means = [
            fmean([sample.bytes for sample in part if sample.pid in lasting]) if lasting else 0.0 for part in parts
        ]
        found.append(Growth(role, len(lasting), *means))
    return found


def problems_of(growths: Sequence[Growth]) -> Iterator[str]:
    """What is wrong, in sentences."""
    for growth in growths:
        if not growth.processes:
            yield f"memory: no {growth.role} lived from the first quarter to the end"
        elif growth.share > MOST_GROWTH:
            yield (
                f"memory: each {growth.role} grew by {growth.share:.1%} from the third quarter to the last "
                f"({growth.third_quarter / 2**20:.1f} to {growth.last_quarter / 2**20:.1f} MiB): "
                f"expected at most {MOST_GROWTH:.1%}"
            )


class Sampler:
    """Takes a sample of each process at every call of `sample`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._start = time.monotonic()
        self.samples: list[Sample] = []

    def sample(self) -> None:
        """Look at all processes that run now."""
        at = time.monotonic() - self._start
        for role, pid in self._processes():
            try:
                used = psutil.Process(pid).memory_info().rss
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            self.samples.append(Sample(at, role, pid, used))

    def _processes(self) -> Iterator[tuple[Part, int]]:
        for service in self._system.keeper.services.values():
            if service.running:
                yield service.part, service.pid
                if service.part is Part.WORKER:
                    yield from ((Part.WORKER_CHILD, pid) for pid in service.children)
