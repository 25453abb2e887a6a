"""Records read again from a partition with gaps, whatever is asked for."""

from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer import record_reader
from ferry_consumer.record_reader import RecordReader
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.record import TopicPartition
from ferry_shared.settings import KafkaSettings
from tests.support.fetched_message import fetched

PLACE = TopicPartition("t", 0)


class Client:
    """A log from `start` to `end` that holds these offsets; at `broken` stands an error."""

    def __init__(self, held: Sequence[int], start: int, end: int, broken: int | None = None) -> None:
        self._held, self._span, self._broken = sorted(held), (start, end), broken
        self._next = 0

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        """Where it begins and ends."""
        return self._span

    def assign(self, places: Sequence[Any]) -> None:
        """Read from there."""
        self._next = places[0].offset

    def unassign(self) -> None:
        """Stop."""

    def poll(self, _seconds: float) -> Message:
        """The next record, or the log's end."""
        if self._broken is not None and self._next >= self._broken:
            return fetched(self._next, error=KafkaError.LEADER_NOT_AVAILABLE)
        offset = next((offset for offset in self._held if offset >= self._next), None)
        if offset is None:
            return fetched(self._span[1], error=KafkaError._PARTITION_EOF)
        self._next = offset + 1
        return fetched(offset, b"0123456789")


def reader(client: Client) -> RecordReader:
    """A reader with that client."""
    made = RecordReader(KafkaSettings())
    made._consumer = client  # type: ignore[assignment]
    return made


def offsets_in(found: dict[int, Any]) -> dict[int, int | None]:
    """Of each answer the record's own offset."""
    return {offset: record and record.offset for offset, record in found.items()}


@given(
    held=st.sets(st.integers(10, 400), max_size=60),
    wanted=st.lists(st.integers(0, 420), max_size=60) | st.builds(range, st.integers(0, 200), st.integers(200, 420)),
)
def test_each_is_found_or_gone(held: set[int], wanted: Sequence[int]) -> None:
    """Single offsets or a whole range, in any order, more than once, outside of the log, in its gaps."""
    found = reader(Client([*held], 10, 401)).read(PLACE, wanted, 60)
    assert offsets_in(found) == {offset: offset if offset in held else None for offset in wanted}


def test_what_is_too_much_is_left_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is told; nothing is called gone that was not read."""
    monkeypatch.setattr(record_reader, "MAX_READ_BYTES", 25)
    client = Client([10, 11, 13, 14, 15], 10, 16)
    assert offsets_in(reader(client).read(PLACE, range(8, 18), 60)) == {
        8: None, 9: None, 10: 10, 11: 11, 12: None, 13: 13, 16: None, 17: None,
    }  # fmt: skip


def test_a_broken_partition_is_no_gap() -> None:
    """Its records are not known to be gone."""
    with pytest.raises(KafkaUnavailable, match="t-0"):
        reader(Client([10, 11], 10, 20, broken=11)).read(PLACE, [10, 11], 60)


def test_without_time_nothing_is_known() -> None:
    """But what lies outside of the log."""
    assert offsets_in(reader(Client([10], 10, 11)).read(PLACE, [9, 10], -1)) == {9: None}
