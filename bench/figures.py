"""What becomes of numbers that were measured: pure functions."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.failures import MeasurementFailed, TooFewSamples

if TYPE_CHECKING:
    from collections.abc import Sequence

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """How much was done at a moment (seconds of a monotonic clock), and what it had cost by then, if that was asked.

    `control_seconds` is the processor time of somebody else, whose work for a message is always the same.
    """

    at: float
    count: int
    cpu_seconds: float = 0.0
    control_seconds: float = 0.0


def rate_of(samples: Sequence[Sample]) -> float:
    """Messages a second from the first sample that has any to the first that has all: start-up doesn't count.

    Raises:
        TooFewSamples: nothing was seen to grow.
    """
    begun = [sample for sample in samples if sample.count]
    if not begun or begun[-1].count == begun[0].count:
        raise TooFewSamples("it was over before two samples could be taken: measure with more messages")
    first = begun[0]
    last = next(sample for sample in begun if sample.count == begun[-1].count)
    return (last.count - first.count) / (last.at - first.at)


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` (1 to 99) of the values lie, interpolated between neighbours."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def slope(values: Sequence[float]) -> float:
    """By least squares, how much the values change from one to the next."""
    if len(values) < 2:  # noqa: PLR2004 - a line needs two points
        return 0.0
    return statistics.linear_regression(range(len(values)), values).slope


def drift_percent(values: Sequence[float]) -> float:
    """How much the fitted line changes from the first value to the last, in per cent of their mean."""
    return slope(values) * (len(values) - 1) / statistics.fmean(values) * 100


def at_even_speed(costs: Sequence[float], control: Sequence[float]) -> list[float]:
    """Costs, had the machine been as fast all the time as on average; `control` is what equal work cost meanwhile."""
    mean = statistics.fmean(control)
    return [cost * mean / other for cost, other in zip(costs, control, strict=True)]


def window_costs(samples: Sequence[Sample], windows: int) -> list[float]:
    """Microseconds of CPU a message, in equal windows from the first sample that has any message to the last one.

    What was used before the first message isn't counted. Between two samples the cost grows evenly.

    Raises:
        MeasurementFailed: there are fewer samples than windows, so windows would be made up.
    """
    begun = [sample for sample in samples if sample.count]
    if len({sample.count for sample in begun}) <= windows:
        raise MeasurementFailed(f"too few samples for {windows} windows: measure with more messages")
    first, last = begun[0].count, begun[-1].count
    edges = [_cpu_at(begun, first + (last - first) * number / windows) for number in range(windows + 1)]
    size = (last - first) / windows
    return [(after - before) / size * MICROSECONDS for before, after in pairwise(edges)]


def control_of(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples with what the control had cost."""
    return [replace(sample, cpu_seconds=sample.control_seconds) for sample in samples]


def between(samples: Sequence[Sample], first: int, last: int) -> list[Sample]:
    """The samples whose counts lie from `first` to `last`."""
    return [sample for sample in samples if first <= sample.count <= last]


def _cpu_at(samples: Sequence[Sample], count: float) -> float:
    place = bisect_left(samples, count, key=lambda sample: sample.count)
    if place >= len(samples):
        return samples[-1].cpu_seconds
    after = samples[place]
    if place == 0 or after.count == count:
        return after.cpu_seconds
    before = samples[place - 1]
    share = (count - before.count) / (after.count - before.count)
    return before.cpu_seconds + share * (after.cpu_seconds - before.cpu_seconds)
