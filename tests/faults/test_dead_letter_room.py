"""Dead letters are larger than their records: whether their topic has the room, and what happens where it has not."""

import random
from hashlib import sha256

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from ferry_console.local.kafka import LocalKafka
from ferry_consumer import record_reader
from ferry_consumer.record_reader import RecordReader
from ferry_shared.record import TopicPartition
from ferry_shared.settings import ConsumerSettings, load
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce, read_all
from tests.support.messages import texts

RANDOM = random.Random(5)
KILOBYTES = RANDOM.randbytes(50_000)
MEGABYTES = RANDOM.randbytes(2_900_000)


def send_large(kafka: LocalKafka, topic: str, value: bytes, compression: str = "none") -> KafkaError | None:
    """Send one record as a client that has no limit of its own; returns what the broker has against it."""
    answers: list[KafkaError | None] = []
    properties = {"message.max.bytes": 1_000_000_000, "compression.type": compression}
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers} | properties)
    producer.produce(topic, value, on_delivery=lambda error, _: answers.append(error))
    assert producer.flush(30) == 0
    return answers[0]


def limit_of(kafka: LocalKafka, topic: str) -> int:
    """A topic's `max.message.bytes`, as Kafka tells it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    return int(admin.describe_configs([resource])[resource].result(15)["max.message.bytes"].value)


def test_the_dead_letter_topic_has_more_room_than_its_source(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """A source with a raised limit, and a record as large as it takes."""
    create_topic(kafka.bootstrap_servers, topic, config={"max.message.bytes": "3000000"})
    assert send_large(kafka, topic, MEGABYTES) is None
    ferry.consumer(CONSUMER_MAX_RECORD_BYTES="3000000")
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 1})
    (letter,) = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert letter.value == MEGABYTES
    assert dict(letter.headers)["ferry.reason"] == b"not-json"
    assert limit_of(kafka, f"{topic}.dlq") == 6_000_000


def test_a_topic_that_is_too_narrow_is_told_at_start_and_gets_shortened_letters(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """The letter says what it lacks and where the record is; the offset is committed, other letters are whole."""
    create_topic(kafka.bootstrap_servers, topic)
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq", config={"max.message.bytes": "20000"})
    produce(kafka.bootstrap_servers, topic, [b"{", KILOBYTES, b"["], key=b"key", headers=[("trace", b"1")])
    consumer = ferry.consumer(CONSUMER_DEAD_LETTER_PATIENCE_SECONDS="0")
    consumer.wait_for_text(f"{topic}.dlq takes at most 20000 bytes, .* set max.message.bytes of {topic}.dlq to 2097176")
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 3})
    found = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    letters = {dict(letter.headers)["x-original-offset"]: letter for letter in found}
    assert len(found) == len(letters)
    assert [letters[offset].value for offset in (b"0", b"1", b"2")] == [b"{", None, b"["]
    shortened = letters[b"1"]
    assert (shortened.key, shortened.headers[0]) == (b"key", ("trace", b"1"))
    told = dict(shortened.headers)
    assert told["ferry.value-omitted"] == f"50000 bytes, sha256 {sha256(KILOBYTES).hexdigest()}".encode()
    assert told["x-original-topic"] == topic.encode()
    consumer.wait_for_text(f"written without its large parts, which {topic}.dlq does not take")


def test_a_topic_whose_dead_letter_topic_can_not_be_named_is_told_at_start(ferry: FerryProcesses) -> None:
    """249 characters are legal, with the suffix they are too many: exit code 2, and the topic's name."""
    longest = "A.z-9_" + "x" * 243
    consumer = ferry.consumer(FERRY_TOPIC=longest)
    assert consumer.wait() == 2
    assert f"CONSUMER_DEAD_LETTER_SUFFIX: the dead-letter topic {longest}.dlq would have 253" in consumer.output()


def test_the_longest_topic_name_that_leaves_room_for_the_suffix(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """245 characters, and its dead letters arrive."""
    longest = topic + "." * (245 - len(topic))
    consumer = ferry.consumer(FERRY_TOPIC=longest, CONSUMER_TOPIC_PARTITIONS="1")
    consumer.wait_for_text("from offset 0")
    produce(kafka.bootstrap_servers, longest, [b"{", *texts(1)])
    eventually(lambda: end_offsets(kafka.bootstrap_servers, f"{longest}.dlq"), {0: 1})


def test_a_name_that_kafka_refuses_is_told_at_start(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Two topics that differ only in dot and underscore: waiting would not help."""
    create_topic(kafka.bootstrap_servers, f"{topic}.b")
    consumer = ferry.consumer(FERRY_TOPIC=f"{topic}_b")
    assert consumer.wait() == 2
    assert f"Kafka refuses the topic {topic}_b" in consumer.output()


@pytest.mark.parametrize(("compression", "refused"), [("producer", False), ("uncompressed", True)])
def test_a_topic_can_refuse_what_unfolds_beyond_its_limit(
    kafka: LocalKafka, topic: str, compression: str, refused: bool
) -> None:
    """The broker's limit counts compressed bytes, unless the topic stores records uncompressed."""
    create_topic(kafka.bootstrap_servers, topic, config={"compression.type": compression})
    error = send_large(kafka, topic, b"0" * 20_000_000, "gzip")
    assert (error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE) is refused


def test_records_for_dead_letters_are_read_again_in_portions(
    kafka: LocalKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 records of 1 MB must not be in memory at once; what is missing from an answer is asked for again."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, [b"x" * 1_000] * 10)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setattr(record_reader, "MAX_READ_BYTES", 2_500)
    reader, wanted, portions = RecordReader(load(ConsumerSettings)), set(range(10)), []
    try:
        while wanted:
            portions.append(reader.read(TopicPartition(topic, 0), sorted(wanted), 20))
            wanted -= portions[-1].keys()
    finally:
        reader.close()
    assert [sorted(portion) for portion in portions] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert all(record and record.value == b"x" * 1_000 for portion in portions for record in portion.values())
