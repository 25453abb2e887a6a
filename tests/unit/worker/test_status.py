"""The status snapshot: written, read, added up and told in one line."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.status import SILENT_AFTER_MS, PartitionStatus, Totals, read_status, status_line, summed

offsets = st.integers(min_value=-1_001, max_value=2**62)
counts = st.integers(min_value=0, max_value=2**40)
NOW_MS = 1_700_000_000_000

statuses = st.builds(
    PartitionStatus,
    at_ms=st.integers(NOW_MS - 10 * SILENT_AFTER_MS, NOW_MS),
    topic=st.text(min_size=1, max_size=5),
    partition=st.integers(0, 100),
    consumer=st.text(max_size=5),
    log_end=offsets,
    committed=offsets,
    position=offsets,
    in_flight=counts,
    oldest_ms=st.just(0) | st.integers(1, NOW_MS),
    dead_letters=counts,
    restored=counts,
    rewound=counts,
    paused=st.none() | st.text(max_size=5),
)
PARTITION = PartitionStatus(NOW_MS, "orders", 0, "host:1", 100, 60, 90, 30, NOW_MS - 2_500, 4, 0, 0, None)


class FakeRedis:
    """A hash."""

    def __init__(self, *values: bytes) -> None:
        self.values = {str(index).encode(): value for index, value in enumerate(values)}

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        """Return all of it."""
        assert key == "blue-ferry:status:ferry"
        return self.values


def read(*values: bytes) -> tuple[PartitionStatus, ...]:
    """Read what consumers wrote."""
    client: Any = FakeRedis(*values)
    return read_status(client, "blue-", "ferry")


@given(status=statuses)
def test_what_is_written_is_read(status: PartitionStatus) -> None:
    """A status survives the way through Redis."""
    assert read(status.to_json()) == (status,)


@given(found=st.lists(statuses, max_size=6))
def test_totals_are_sums(found: list[PartitionStatus]) -> None:
    """Lag and backlog are never negative, add up, and silent partitions count among all."""
    totals = summed(found, NOW_MS)
    assert (totals.lag, totals.backlog) == (sum(one.lag for one in found), sum(one.backlog for one in found))
    assert totals.lag >= 0
    assert totals.backlog >= totals.in_flight
    assert 0 <= totals.silent <= totals.partitions == len(found)


def test_lag_and_backlog() -> None:
    """Lag is what isn't committed, backlog what isn't done."""
    assert summed([PARTITION, replace(PARTITION, partition=1)], NOW_MS) == Totals(2, 0, (), 80, 80, 60, 2.5, 8)


def test_a_partition_with_nothing_in_flight_has_no_age() -> None:
    """The oldest message is that of the partitions which have one."""
    idle = replace(PARTITION, oldest_ms=0)
    assert (summed([idle, PARTITION], NOW_MS).oldest_seconds, summed([idle], NOW_MS).oldest_seconds) == (2.5, 0.0)


def test_without_a_log_end_the_lag_is_at_least_what_is_dispatched() -> None:
    """While Kafka is away from the consumer."""
    unknown = replace(PARTITION, log_end=-1)
    assert (unknown.lag, unknown.backlog) == (30, 30)


def test_unknown_offsets_count_from_the_beginning() -> None:
    """Before the first commit Kafka's committed offset is negative."""
    assert replace(PARTITION, committed=-1_001).lag == 100


def test_the_line() -> None:
    """It names the group and every number."""
    line = status_line("ferry", summed([PARTITION], NOW_MS))
    assert line == "group ferry: 1 partition, lag 40, backlog 40, in flight 30, oldest 2.5 s, dead letters 4"


def test_the_line_names_exceptions() -> None:
    """Silent and paused partitions are told."""
    silent = replace(PARTITION, at_ms=NOW_MS - SILENT_AFTER_MS - 1)
    causes = ("operator", "memory", "operator")
    paused = [replace(PARTITION, paused=cause) for cause in causes]
    line = status_line("ferry", summed([PARTITION, silent, *paused], NOW_MS))
    assert "5 partitions (1 silent, 1 paused: memory, 2 paused: operator)" in line


@pytest.mark.parametrize("found", [[], [replace(PARTITION, at_ms=NOW_MS - SILENT_AFTER_MS - 1)]])
def test_no_news_is_silence(found: list[PartitionStatus]) -> None:
    """Without a status, or with old ones only, the consumer is silent."""
    assert "consumer silent" in status_line("ferry", summed(found, NOW_MS))


@pytest.mark.parametrize("value", [b"", b"[]", b"null", b"{}", b'{"at_ms": 1}', b"\xff"])
def test_what_can_not_be_read_is_left_out(value: bytes) -> None:
    """A status of another version doesn't hide the others."""
    assert read(value, PARTITION.to_json()) == (PARTITION,)
