"""Looks from outside, again and again, at how much is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from bench.failures import MeasurementFailed
from bench.figures import Sample
from bench.processes import check_running, cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferry_console.local.service_process import ServiceProcess

SAMPLE_SECONDS = 0.005
START_SECONDS = 60.0
STALL_SECONDS = 30.0
#: A queue that grows must not take the machine down.
LEAST_FREE_BYTES = 1024**3
_LOOK_SECONDS = 0.5


def samples_until(
    total: int,
    done: Callable[[], int],
    processes: Sequence[ServiceProcess],
    *,
    most_seconds: float,
    cpu_of: Sequence[int] = (),
    control: Sequence[int] = (),
    sample_seconds: float = SAMPLE_SECONDS,
) -> list[Sample]:
    """Take samples until `total` is done or `most_seconds` have passed since the first was.

    `cpu_of` and `control` are the ids of processes whose processor time is noted with them.

    Raises:
        MeasurementFailed: a process ended, nothing began or went on, or the machine is short of memory.
    """
    samples = [Sample(time.monotonic(), 0)]
    begun: float | None = None
    changed = looked = samples[0].at
    while samples[-1].count < total:
        used = [sum(map(cpu_seconds, pids)) for pids in (cpu_of, control)]
        sample = Sample(time.monotonic(), done(), *used)
        if sample.count != samples[-1].count:
            begun = begun or sample.at
            changed = sample.at
            samples.append(sample)
        if sample.at - looked > _LOOK_SECONDS:
            looked = sample.at
            _check(processes, sample.at - changed, begun=begun is not None)
        if begun and sample.at - begun > most_seconds:
            break
        time.sleep(sample_seconds)
    return samples


def _check(processes: Sequence[ServiceProcess], still_seconds: float, *, begun: bool) -> None:
    check_running(processes)
    limit = STALL_SECONDS if begun else START_SECONDS
    if still_seconds > limit:
        told = "\n".join(f"{process.name}:\n{process.log_tail()}" for process in processes)
        raise MeasurementFailed(f"{'nothing went on' if begun else 'it did not begin'} for {limit:.0f} s\n{told}")
    free = psutil.virtual_memory().available
    if free < LEAST_FREE_BYTES:
        raise MeasurementFailed(f"only {free >> 20} MiB of memory are left: measure with fewer --messages")
