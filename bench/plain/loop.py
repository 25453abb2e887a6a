"""The loop that everybody writes."""

import json
import os

from confluent_kafka import Consumer

from bench.plain.tasks import note


def main() -> None:
    """Poll, delay, for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": "plain",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([os.environ["BENCH_TOPIC"]])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        note.delay(json.loads(message.value() or b"{}"))


if __name__ == "__main__":
    main()
