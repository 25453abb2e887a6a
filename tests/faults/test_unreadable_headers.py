"""A header whose name is no UTF-8, which confluent_kafka can't read."""

from collections.abc import Iterator

import confluent_kafka
import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_consumer.kafka_message import UNREADABLE_HEADERS, headers_of
from tests.support.kafka_records import create_topic
from tests.support.raw_produce import OddRecord, produce_odd

#: Python takes a shorter way for calls that are made often, on which nobody looks for an exception.
OFTEN = 200


def records(kafka: LocalKafka, topic: str, names: list[bytes]) -> Iterator[confluent_kafka.Message]:
    """Records with two headers each, as the consumer's client gives them."""
    create_topic(kafka.bootstrap_servers, topic)
    for name in names:
        produce_odd(kafka.bootstrap_servers, topic, 0, OddRecord(b"value", headers=((name, b"1"), (b"next", None))))
    client = confluent_kafka.Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "tests"})
    try:
        client.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        for _ in names:
            message = client.poll(20)
            assert message is not None
            assert message.error() is None
            yield message
    finally:
        client.close()


def test_unreadable_headers_stop_nothing_however_many_there_are(kafka: LocalKafka, topic: str) -> None:
    """Read in the usual way, they end the process with a segmentation fault."""
    found = [headers_of(record) for record in records(kafka, topic, [b"\xff\xfe"] * OFTEN)]
    assert found == [((UNREADABLE_HEADERS, b"a header's name is no UTF-8"),)] * OFTEN


@pytest.mark.parametrize("name", [b"", b"caf\xc3\xa9", b"delivery_tag"])
def test_every_other_name_is_read(kafka: LocalKafka, topic: str, name: bytes) -> None:
    """Whatever it says."""
    (record,) = records(kafka, topic, [name])
    assert headers_of(record) == ((name.decode(), b"1"), ("next", None))
