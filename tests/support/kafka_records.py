"""Write and read Kafka records as a test does it: raw, and complete."""

import time
from collections.abc import Callable, Sequence, Set
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.eventually import eventually

_ADMIN_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.05
#: A topic that was created a moment ago has no leader yet, a Kafka that was started a moment ago no coordinator.
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_Answer = TypeVar("_Answer")


class RawRecord(NamedTuple):
    """A record as it is in Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | bytes | None]]


def create_topic(bootstrap_servers: str, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
    """Create a topic; returns once the broker serves it."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(_ADMIN_TIMEOUT_SECONDS)


def delete_topics(bootstrap_servers: str, topics: Sequence[str]) -> None:
    """Delete those that are there, for a test whose topics have names of their own; returns once they are gone."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def present() -> list[str]:
        known = admin.list_topics(timeout=_ADMIN_TIMEOUT_SECONDS).topics
        return [topic for topic in topics if topic in known]

    if found := present():
        for future in admin.delete_topics(found).values():
            future.result(_ADMIN_TIMEOUT_SECONDS)
        eventually(lambda: bool(present()), expected=False)


def produce(
    bootstrap_servers: str,
    topic: str,
    values: Sequence[bytes | None],
    *,
    key: bytes | None = None,
    headers: list[tuple[str, bytes | None]] | None = None,
    partition: int = -1,
    idempotent: bool = False,
) -> None:
    """Write raw values and wait for their acknowledgement; fails if one is not acknowledged.

    `idempotent` repeats none, also where the broker answers too late; its start takes half a second.
    """
    properties = {"bootstrap.servers": bootstrap_servers, "linger.ms": 5, "enable.idempotence": idempotent}
    producer = Producer(properties)
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for value in values:
        producer.produce(topic, value, key, partition, delivered, headers=list(headers or []))
        producer.poll(0)
    assert producer.flush(30.0) == 0
    assert not failed, failed[0]


def end_offsets(bootstrap_servers: str, topic: str) -> dict[int, int]:
    """The next offset of each partition; empty if the topic doesn't exist."""
    reader = _reader(bootstrap_servers)
    try:
        partitions = reader.list_topics(topic, _ADMIN_TIMEOUT_SECONDS).topics[topic].partitions
        return {partition: _end_offset(reader, TopicPartition(topic, partition)) for partition in partitions}
    finally:
        reader.close()


def _end_offset(reader: Consumer, place: TopicPartition) -> int:
    return answered(lambda: reader.get_watermark_offsets(place, _ADMIN_TIMEOUT_SECONDS))[1]


def answered(
    ask: Callable[[], _Answer], passing: Set[int] = _PASSING, timeout_seconds: float = _ADMIN_TIMEOUT_SECONDS
) -> _Answer:
    """Ask Kafka again as long as its answer is an error of those that pass; raises KafkaException with any other."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def committed_offsets(bootstrap_servers: str, group: str, topic: str) -> dict[int, int]:
    """What the group has committed for each partition; only partitions with a commit."""
    reader = _reader(bootstrap_servers, group)
    try:
        partitions = reader.list_topics(topic, _ADMIN_TIMEOUT_SECONDS).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in partitions]
        answers = answered(lambda: reader.committed(places, _ADMIN_TIMEOUT_SECONDS))
        return {answer.partition: answer.offset for answer in answers if answer.offset >= 0}
    finally:
        reader.close()


def read_all(bootstrap_servers: str, topic: str, timeout_seconds: float = 30.0) -> list[RawRecord]:
    """Every record of the topic from its beginning to its present end; none if the topic doesn't exist."""
    ends = {number: end for number, end in end_offsets(bootstrap_servers, topic).items() if end > 0}
    reader = _reader(bootstrap_servers)
    records: list[RawRecord] = []
    try:
        reader.assign([TopicPartition(topic, number, 0) for number in ends])
        deadline = time.monotonic() + timeout_seconds
        while ends and time.monotonic() < deadline:
            for message in reader.consume(1_000, 0.1):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    ends.pop(message.partition() or 0, None)
                elif error is not None:
                    raise KafkaException(error)
                else:
                    records.append(_raw_record(message))
        assert not ends, f"partitions {sorted(ends)} of {topic} were not read to their end"
        return records
    finally:
        reader.close()


def _reader(bootstrap_servers: str, group: str = "tests") -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )


def _raw_record(message: Message) -> RawRecord:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    headers = message.headers() or []
    assert isinstance(headers, list)
    return RawRecord(partition, offset, message.key(), message.value(), headers)
