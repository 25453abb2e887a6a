"""Percentiles by counting: never far from the exact ones, and never large."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.latency import SIGNIFICANT_BITS, Latencies

SECONDS = st.lists(st.floats(0, 1_000), min_size=1, max_size=200)


@given(SECONDS, st.floats(0, 1))
def test_a_percentile_is_within_one_part_in_64_of_the_exact_one(seconds: list[float], share: float) -> None:
    """And never above it."""
    latencies = Latencies()
    for each in seconds:
        latencies.add(each)
    [found] = latencies.milliseconds(share)
    exact = sorted(seconds)[max(math.ceil(share * len(seconds)) - 1, 0)] * 1_000
    assert exact * (1 - 2.0 ** (1 - SIGNIFICANT_BITS)) - 0.001 <= found <= exact + 0.001


def test_a_million_different_times_take_few_entries() -> None:
    """Memory stays flat."""
    latencies = Latencies()
    for microseconds in range(1, 2_000_000, 7):
        latencies.add(microseconds / 1_000_000)
    assert len(latencies._counts) < 2_000


def test_nothing_counted_is_nothing() -> None:
    """Not zero."""
    assert Latencies().milliseconds(0.5, 0.99) == ()


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    """A negative one would be the fastest."""
    latencies = Latencies()
    latencies.add(-5.0)
    assert latencies.milliseconds(1.0) == (0.0,)
