"""How long Kafka took to acknowledge: percentiles of any number of messages in a few kilobytes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Values that share their leading bits count as one: an error of 1/128, below 1 %.
SIGNIFICANT_BITS = 7
_MICROSECONDS = 1_000_000


class Latencies:
    """Counts by time, as HdrHistogram does, at the price of one dictionary entry changed."""

    def __init__(self) -> None:
        self._counts = Counter[int]()

    def add(self, seconds: float) -> None:
        """Count one; a negative time counts as none."""
        microseconds = max(int(seconds * _MICROSECONDS), 0)
        surplus = max(microseconds.bit_length() - SIGNIFICANT_BITS, 0)
        self._counts[microseconds >> surplus << surplus] += 1

    def milliseconds(self, *shares: float) -> tuple[float, ...]:
        """For each share (0 to 1) the time within which that share was acknowledged; nothing counted: nothing."""
        return tuple(_quantile(self._counts, share) / 1_000 for share in shares) if self._counts else ()


def _quantile(counts: Mapping[int, int], share: float) -> int:
    wanted, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return max(counts)
