"""A dead letter's headers, and which records are read again in one go."""

import itertools
from dataclasses import replace
from hashlib import sha256
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer import dead_letters
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


class Producer:
    """A client whose broker answers when it is polled: it refuses what is too large for its topic."""

    def __init__(self, *_: object) -> None:
        """Nothing is under way."""
        self.limit = 100
        self.sent: list[dict[str, Any]] = []
        self._unanswered: list[dict[str, Any]] = []

    def produce(self, topic: str, **letter: Any) -> None:
        """Take it."""
        self._unanswered.append(letter | {"topic": topic})

    def poll(self, _: float) -> int:
        """Answer everything that was under way, not what the answers bring about."""
        letters, self._unanswered = self._unanswered, []
        for sent in letters:
            too_large = len(sent["value"] or b"") + len(sent["key"] or b"") > self.limit
            if not too_large:
                self.sent.append(sent)
            sent["on_delivery"](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if too_large else None, None)
        return len(letters)


LARGE = replace(RECORD, value=b"x" * 5_000)


def writer_of(monkeypatch: pytest.MonkeyPatch, patience_seconds: float) -> tuple[DeadLetters, Producer, list[float]]:
    """A writer, its client, and the time, which tests set."""
    producer, now = Producer(), [0.0]
    monkeypatch.setattr(confluent_kafka, "Producer", lambda _: producer)
    monkeypatch.setenv("CONSUMER_DEAD_LETTER_PATIENCE_SECONDS", str(patience_seconds))
    return DeadLetters(load(ConsumerSettings), lambda: now[0]), producer, now


def test_what_is_too_large_is_tried_whole_until_patience_is_over_and_then_shortened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says first how to save the value, then where the record is."""
    writer, producer, now = writer_of(monkeypatch, 600)
    large = letter(LARGE)
    for seconds in (0.0, 30.0, 599.0):
        now[0] = seconds
        assert writer.write(large)
        assert writer.take_acknowledged() == []
        assert writer.take_refused() == [large]
    assert "raise max.message.bytes of orders.dlq above 5" in caplog.text
    assert "After 600 s its large parts are left out" in caplog.text
    now[0] = 600.0
    assert writer.write(large)
    assert writer.take_acknowledged() == []
    assert writer.is_under_way(large.key)
    (done,) = writer.take_acknowledged()
    assert (done.key, writer.take_refused()) == (large.key, [])
    (sent,) = producer.sent
    told = dict(sent["headers"])
    assert (sent["topic"], sent["value"], sent["key"]) == ("orders.dlq", None, b"key")
    assert told["ferry.value-omitted"] == f"5000 bytes, sha256 {sha256(LARGE.value or b'').hexdigest()}".encode()
    assert (told["x-original-partition"], told["x-original-offset"]) == (b"3", b"17")
    assert "stays in Kafka until the topic's retention deletes it" in caplog.text


def test_a_raised_limit_saves_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried whole first, also when patience is over."""
    writer, producer, now = writer_of(monkeypatch, 600)
    writer.write(letter(LARGE))
    writer.take_acknowledged()
    now[0], producer.limit = 10_000.0, 10_000
    writer.write(letter(LARGE))
    assert writer.take_acknowledged() == [letter(LARGE)]
    assert producer.sent[0]["value"] == LARGE.value


def test_a_topic_that_takes_not_even_the_short_letter_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be left out any more: it waits like any other refused one."""
    writer, producer, _ = writer_of(monkeypatch, 0)
    producer.limit = 0
    writer.write(letter(LARGE))
    assert writer.take_acknowledged() == []
    assert writer.take_acknowledged() == []
    (refused,) = writer.take_refused()
    assert refused.key == letter(LARGE).key
    assert not writer.is_under_way(refused.key)


def test_other_refusals_leave_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing right to write says nothing about size."""
    monkeypatch.setattr(confluent_kafka, "Producer", RefusingProducer)
    monkeypatch.setenv("CONSUMER_DEAD_LETTER_PATIENCE_SECONDS", "0")
    writer = DeadLetters(load(ConsumerSettings))
    writer.write(letter(LARGE))
    assert writer.take_refused() == [letter(LARGE)]


def test_only_so_many_bytes_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of large dead letters waits for Kafka in the ledger, not in the client's memory."""
    writer, producer, _ = writer_of(monkeypatch, 600)
    producer.limit = dead_letters.MAX_BYTES_UNDER_WAY
    half = replace(RECORD, value=b"x" * (dead_letters.MAX_BYTES_UNDER_WAY // 2))
    letters = [replace(letter(half), member=str(number)) for number in range(4)]
    assert [writer.write(each) for each in letters] == [True, True, False, False]
    assert len(writer.take_acknowledged()) == 2
    assert writer.write(letters[2])


def test_only_so_many_refusals_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer must not grow with what Kafka refuses."""
    monkeypatch.setattr(dead_letters, "MAX_REMEMBERED_REFUSALS", 10)
    writer, _, _ = writer_of(monkeypatch, 600)
    for number in range(50):
        writer.write(replace(letter(LARGE), member=str(number)))
    writer.take_acknowledged()
    assert len(writer.take_refused()) == 50
    assert len(writer._too_large_since) == 10
