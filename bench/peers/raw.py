"""`consume` and parse, and do nothing with it."""

import json
import os

import orjson
from confluent_kafka import Consumer

from bench import tally

consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["BENCH_GROUP"],
        "auto.offset.reset": "earliest",
        **json.loads(os.environ.get("BENCH_PROPERTIES", "{}")),
    }
)
consumer.subscribe([os.environ["BENCH_TOPIC"]])
while True:
    messages = consumer.consume(1000, 0.1)
    for message in messages:
        if not message.error():
            orjson.loads(message.value() or b"{}")
    tally.add(len(messages))
