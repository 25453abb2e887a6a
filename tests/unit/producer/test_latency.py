"""Percentiles by counting: never far from the exact ones, and never large."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.latency import SIGNIFICANT_BITS, Latencies

SECONDS = st.lists(st.floats(0, 1_000), min_size=1, max_size=200)


@given(st.lists(SECONDS, min_size=1, max_size=3), st.floats(0, 1))
def test_a_percentile_is_within_one_part_in_64_of_the_exact_one(parts: list[list[float]], share: float) -> None:
    """And never above it, in whatever portions they come."""
    latencies, seconds = Latencies(), [each for part in parts for each in part]
    for part in parts:
        latencies.add(part)
    [found] = latencies.milliseconds(share)
    exact = sorted(seconds)[max(math.ceil(share * len(seconds)) - 1, 0)] * 1_000
    assert exact * (1 - 2.0 ** (1 - SIGNIFICANT_BITS)) - 0.001 <= found <= exact + 0.001


def test_a_million_different_times_take_few_entries() -> None:
    """Memory stays flat."""
    latencies = Latencies()
    for first in range(1, 2_000_000, 7_000):
        latencies.add(microseconds / 1_000_000 for microseconds in range(first, first + 7_000, 7))
    assert len(latencies._counts) < 2_000


def test_nothing_counted_is_nothing() -> None:
    """Not zero."""
    assert Latencies().milliseconds(0.5, 0.99) == ()


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    """A negative one would be the fastest."""
    latencies = Latencies()
    latencies.add([-5.0, -0.5])
    assert latencies.milliseconds(0.5, 1.0) == (0.0, 0.0)
