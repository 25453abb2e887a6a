"""A dead letter's headers, and which records are read again in one go."""

import itertools

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.dead_letters import DeadLetter, DeadLetters, headers
from ferry_consumer.record_reader import CONTIGUOUS_OFFSETS, contiguous
from ferry_shared.record import Record, TopicPartition
from ferry_shared.settings import ConsumerSettings, load

RECORD = Record(
    "orders", 3, 17, 1234, b"key", b"{", (("trace", b"\xff"), ("x-original-topic", b"before"), ("none", None))
)


def letter(record: Record = RECORD, *, reconstructed: bool = False) -> DeadLetter:
    """A dead letter of an invalid record."""
    place = TopicPartition("orders", 3)
    return DeadLetter(place, "17", "1.1", "orders-3-17", "not-json: why", 0, record, reconstructed)


def test_the_records_own_headers_come_first_and_unchanged() -> None:
    """Bytes that are no UTF-8, a name that we use too, and a header without value."""
    assert headers(letter(), "ferry")[:3] == list(RECORD.headers)


def test_origin_and_reason_are_told_under_the_names_that_tools_know() -> None:
    """KIP-1191's, and x-original-topic."""
    own = dict(headers(letter(), "billing")[3:])
    assert own == {
        "__dlq.errors.topic": b"orders",
        "__dlq.errors.partition": b"3",
        "__dlq.errors.offset": b"17",
        "__dlq.errors.group": b"billing",
        "__dlq.errors.delivery.count": b"0",
        "__dlq.errors.message": b"not-json: why",
        "x-original-topic": b"orders",
        "x-original-partition": b"3",
        "x-original-offset": b"17",
        "x-original-timestamp": b"1234",
        "ferry.reason": b"not-json",
        "ferry.task-id": b"orders-3-17",
    }


def test_a_reconstructed_record_says_so() -> None:
    """Kafka no longer had it."""
    assert ("ferry.reconstructed", b"true") in headers(letter(reconstructed=True), "ferry")


@given(st.sets(st.integers(0, 5000)))
def test_runs_hold_every_offset_once_and_no_wide_gap(offsets: set[int]) -> None:
    """Reading through a small gap is cheaper than seeking; through a wide one it is not."""
    runs = contiguous(sorted(offsets))
    assert [offset for run in runs for offset in run] == sorted(offsets)
    for run in runs:
        assert all(after - before <= CONTIGUOUS_OFFSETS for before, after in itertools.pairwise(run))
    for before, after in itertools.pairwise(runs):
        assert after[0] - before[-1] > CONTIGUOUS_OFFSETS


class RefusingProducer:
    """A client that knows that the topic isn't there."""

    def __init__(self, *_: object) -> None:
        """Take any properties."""

    def produce(self, *_: object, **__: object) -> None:
        """Refuse at once, as librdkafka does."""
        raise KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC))

    def poll(self, _: float) -> int:
        """Nothing is under way."""
        return 0


def test_a_refusal_at_once_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not end the consumer; the entry stays in the ledger meanwhile."""
    monkeypatch.setattr(confluent_kafka, "Producer", RefusingProducer)
    writer = DeadLetters(load(ConsumerSettings))
    assert writer.write(letter())
    assert not writer.is_under_way(letter().key)
    assert writer.take_acknowledged() == []
    assert writer.take_refused() == [letter()]
    assert writer.take_refused() == []
