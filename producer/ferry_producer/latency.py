"""How long Kafka took to acknowledge: percentiles of any number of messages in a few kilobytes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Values that share their leading bits count as one: an error of 1/128, below 1 %.
SIGNIFICANT_BITS = 7
_MICROSECONDS = 1_000_000


class Latencies:
    """Counts by time, as HdrHistogram does."""

    def __init__(self) -> None:
        self._counts = Counter[int]()

    def add(self, seconds: Iterable[float]) -> None:
        """Count them; a negative time counts as none."""
        # Sorted, those that count as one stand together: many messages share a batch, and so nearly a time.
        ordered = sorted(seconds)
        begin = 0
        while begin < len(ordered):
            lowest, next_lowest = _interval(max(int(ordered[begin] * _MICROSECONDS), 0))
            end = bisect_left(ordered, next_lowest / _MICROSECONDS, begin + 1)
            self._counts[lowest] += end - begin
            begin = end

    def milliseconds(self, *shares: float) -> tuple[float, ...]:
        """For each share (0 to 1) the time within which that share was acknowledged; nothing counted: nothing."""
        return tuple(_quantile(self._counts, share) / 1_000 for share in shares) if self._counts else ()


def _interval(microseconds: int) -> tuple[int, int]:
    """The lowest time that counts as one with this, and the lowest one above that doesn't."""
    surplus = max(microseconds.bit_length() - SIGNIFICANT_BITS, 0)
    lowest = microseconds >> surplus << surplus
    return lowest, lowest + (1 << surplus)


def _quantile(counts: Mapping[int, int], share: float) -> int:
    wanted, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return max(counts)
