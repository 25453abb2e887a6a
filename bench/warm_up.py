"""Kafka, warmed up: as fast at small requests as a broker that has run for a while.

Java's second compiler takes some ten thousand calls of a method to compile it, and a core of the machine meanwhile. At
some hundred messages a second that takes minutes, in which whoever is measured waits for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Producer

from bench.failures import MeasurementFailed
from bench.work import MESSAGE_BYTES, QUIET, create_topic

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

TOPIC = "warm-up"
MESSAGES = 60_000
MAX_SECONDS = 120.0
#: Few enough that they go out, and come back, one by one.
UNDER_WAY = 20


def warm_up(bootstrap_servers: str, messages: int = MESSAGES) -> None:
    """Send messages one a request, and read them as they come.

    Raises:
        MeasurementFailed: that took too long, or Kafka refused one.
    """
    create_topic(bootstrap_servers, TOPIC)
    common = QUIET | {"bootstrap.servers": bootstrap_servers}
    producer = Producer(common | {"linger.ms": 0, "batch.num.messages": 1})
    consumer = Consumer(common | {"group.id": TOPIC, "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    sent = read = 0
    deadline = time.monotonic() + MAX_SECONDS
    try:
        while read < messages:
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"Kafka took {read} of {messages} messages in {MAX_SECONDS:.0f} s to warm up")
            while sent < messages and len(producer) < UNDER_WAY:
                producer.produce(TOPIC, bytes(MESSAGE_BYTES), on_delivery=_check)
                sent += 1
            producer.poll(0)
            read += sum(1 for message in consumer.consume(UNDER_WAY, 0.001) if not message.error())
    finally:
        consumer.close()


def _check(error: KafkaError | None, _message: Message) -> None:
    if error is not None:
        raise MeasurementFailed(f"Kafka can't be warmed up: {error.str()}")
