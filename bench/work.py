"""The work that all systems get: JSON of 200 bytes, in four partitions, the same for everybody."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.failures import MeasurementFailed

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE_BYTES = 200
#: By this a message is found in a log.
TEXT_BEGINNING = b"message xxx"
PARTITIONS = 4
FLUSH_SECONDS = 120.0
LEADERS_SECONDS = 30.0
#: Of syslog: critical. librdkafka else tells on standard error that Kafka goes away, at the end of each measurement.
QUIET: dict[str, str | int | float | bool] = {"log_level": 2}


def value_of(number: int, sent: float) -> bytes:
    """A message of three fields, `MESSAGE_BYTES` long; `sent` is in seconds since 1970."""
    head = f'{{"number":{number},"sent":{json.dumps(sent)},"text":"{TEXT_BEGINNING.decode()}'
    return f'{head:x<{MESSAGE_BYTES - 2}}"}}'.encode()


def admin_of(bootstrap_servers: str) -> AdminClient:
    """A client that asks Kafka about topics and groups."""
    return AdminClient(QUIET | {"bootstrap.servers": bootstrap_servers})


def create_topic(bootstrap_servers: str, topic: str) -> None:
    """Create a topic of `PARTITIONS` partitions, and wait until they have leaders.

    Raises:
        MeasurementFailed: they have none in time.
    """
    admin = admin_of(bootstrap_servers)
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        future.result()
    deadline = time.monotonic() + LEADERS_SECONDS
    while True:
        try:
            log_ends(admin, topic)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"Kafka: the topic {topic}: {error.args[0].str()}") from error
            time.sleep(0.05)
        else:
            return


def log_ends(admin: AdminClient, topic: str) -> int:
    """How many messages a topic holds that nothing was deleted from.

    Raises:
        KafkaException: Kafka can't tell.
    """
    latest = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(PARTITIONS)}
    return sum(future.result().offset for future in admin.list_offsets(latest).values())


def produce_backlog(bootstrap_servers: str, topic: str, messages: int) -> None:
    """Create a topic that holds so many messages, evenly spread.

    Raises:
        MeasurementFailed: Kafka did not take all of them.
    """
    create_topic(bootstrap_servers, topic)
    settings = QUIET | {"bootstrap.servers": bootstrap_servers, "acks": "all", "linger.ms": 20}
    producer, refused = Producer(settings), list[str]()

    def note(error: KafkaError | None, _message: Message) -> None:
        if error:
            refused.append(error.str())

    for number in range(messages):
        content = value_of(number, time.time())
        while True:
            try:
                producer.produce(topic, content, partition=number % PARTITIONS, on_delivery=note)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    left = producer.flush(FLUSH_SECONDS)
    if refused or left:
        raise MeasurementFailed(f"Kafka did not take {len(refused) + left} of {messages} messages: {refused[:1]}")


def write_lines(path: Path, messages: int) -> None:
    """Write a file with one message a line."""
    with path.open("wb") as file:
        file.writelines(value_of(number, 1_700_000_000.5) + b"\n" for number in range(messages))
