"""The loop that everybody writes: `poll` + `.delay()` with auto-commit."""

import json
import os

from confluent_kafka import Consumer

from bench.peers import stock

task = getattr(stock, os.environ["BENCH_TASK"])
consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["BENCH_GROUP"],
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([os.environ["BENCH_TOPIC"]])
while True:
    message = consumer.poll(1.0)
    if message is None or message.error():
        continue
    task.delay(json.loads(message.value() or b"{}"))
