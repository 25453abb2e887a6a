"""The same with kombu 5.7's `Producer.batch` around `apply_async`: one pipeline for many tasks."""

import os

import orjson
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
with stock.app.producer_pool.acquire(block=True) as producer:
    # Else kombu sends each by itself, and says nothing. A check of this program, which is never run with -O (S101).
    assert producer.supports_batch_publish, "kombu can't batch over this connection"  # noqa: S101
    while True:
        messages = consumer.consume(500, 0.1)
        with producer.batch(max_size=500):
            for message in messages:
                if not message.error():
                    task.apply_async((orjson.loads(message.value() or b"{}"),), producer=producer)
