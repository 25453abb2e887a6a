"""A file's lines by `Producer.produce`, each with a callback for its delivery."""

import os
import sys

from confluent_kafka import KafkaError, Message, Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "acks": "all"})
topic = os.environ["BENCH_TOPIC"]
failed: list[KafkaError] = []


def delivered(error: KafkaError | None, _message: Message) -> None:
    """Keep what failed."""
    if error is not None:
        failed.append(error)


with open(os.environ["BENCH_FILE"], "rb") as file:  # noqa: PTH123 - as such programs are written
    for line in file:
        while True:
            try:
                producer.produce(topic, line.rstrip(b"\n"), on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
sys.exit(bool(producer.flush() or failed))
