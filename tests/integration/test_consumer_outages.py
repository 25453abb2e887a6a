"""What the consumer does when Redis or Kafka is away, forgets, or loses a message."""

import json
import random
import time
from pathlib import Path

import pytest
import redis

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from ferry_console.local.valkey import LocalValkey
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition as Place
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic, produce
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader, task_of


def test_after_flushall_what_was_in_flight_is_dispatched_again(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Also while idle: the ledger is read at every tick, and a missing one is never taken for an empty one."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    consumer = ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 3)
    first = queue.take()
    assert first is not None
    queue.finish(first)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 1})
    queue.client.flushdb()
    consumer.wait_for_text("Redis has lost the ledger")
    eventually(lambda: [task_id.partition("@")[0] for task_id in queue.peek_ids()], [f"{topic}-0-1", f"{topic}-0-2"])


def test_a_message_that_vanished_is_queued_again_and_no_other(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Age alone is no reason: what waits in a long queue, or is held by a worker, is left alone."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    consumer = ferry.consumer(CONSUMER_REDELIVER_AFTER_SECONDS="5")
    eventually(lambda: len(queue.peek_ids()), 3)
    # The queue is in order: only what is clearly older than the oldest waiting message can have vanished.
    time.sleep(1.5)
    produce(kafka.bootstrap_servers, topic, texts(3, 4))
    eventually(lambda: len(queue.peek_ids()), 5)
    vanished, held, claimed = (queue.client.rpop("celery") for _ in range(3))
    assert isinstance(vanished, bytes)
    assert isinstance(held, bytes)
    assert isinstance(claimed, bytes)
    tag = json.loads(held)["properties"]["delivery_tag"]
    queue.client.hset("unacked", tag, held.decode())
    queue.client.zadd("unacked_index", {tag: time.time()})
    queue.ledger.claim(task_of(claimed).header, "alive", lease_ms=60_000, max_claims=3)
    consumer.wait_for_text("had vanished from the queue: queued again", timeout_seconds=30)
    eventually(queue.peek_ids, [f"{topic}-0-{offset}@{group}" for offset in (3, 4, 0)])
    again = list(queue.take_all())[-1]
    first = task_of(vanished)
    assert (again.payload, again.header.token) == (first.payload, first.header.token)
    assert (first.header.copy, again.header.copy) == (1, 2)
    queue.finish(again)
    assert consumer.output().count("had vanished") == 1


def test_a_redis_that_may_evict_is_refused(ferry: FerryProcesses, own_valkey: LocalValkey) -> None:
    """Exit code 2 and a sentence: evicted tasks or entries would break every promise."""
    client = redis.Redis.from_url(own_valkey.url)
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    consumer = ferry.consumer(CELERY_BROKER_URL=own_valkey.url)
    assert consumer.wait() == 2
    assert "expected noeviction" in consumer.output()


@pytest.mark.single_messages
def test_redis_away_is_waited_for_and_nothing_is_repeated(
    kafka: LocalKafka, ferry: FerryProcesses, own_valkey: LocalValkey, topic: str
) -> None:
    """The consumer stays in its group, says so once, and goes on with the first record it could not dispatch."""
    create_topic(kafka.bootstrap_servers, topic)
    port = free_port()
    settings = {"CONSUMER_HTTP_PORT": str(port), "CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"}
    consumer = ferry.consumer(CELERY_BROKER_URL=own_valkey.url, **settings)
    produce(kafka.bootstrap_servers, topic, texts(0, 1))
    consumer.wait_for_text("dispatched 2")
    own_valkey.stop()
    produce(kafka.bootstrap_servers, topic, texts(2, 3))
    consumer.wait_for_text("nothing is lost, trying again")
    produce(kafka.bootstrap_servers, topic, texts(4))
    time.sleep(3)
    assert consumer.output().count("nothing is lost, trying again") == 1
    assert http_get(port, "/readyz") == (503, "missing: redis\n")
    assert http_get(port, "/livez") == (200, "ok\n")
    own_valkey.start()
    own_valkey.wait_ready()
    consumer.wait_for_text("going on after", timeout_seconds=20)
    eventually(lambda: http_get(port, "/readyz"), (200, "ok\n"))
    queue = QueueReader(own_valkey.url)
    eventually(lambda: len(queue.peek_ids()), 5)
    assert [task.header.member for task in queue.take_all()] == ["0", "1", "2", "3", "4"]


def test_kafka_away_is_waited_for(ferry: FerryProcesses, tmp_path: Path, topic: str, redis_url: str) -> None:
    """Also at start; what was dispatched meanwhile is committed once Kafka is back."""
    broker = LocalKafka(tmp_path / "kafka")
    broker.start()
    try:
        broker.wait_ready()
        create_topic(broker.bootstrap_servers, topic)
        produce(broker.bootstrap_servers, topic, texts(0))
        broker.stop()
        consumer = ferry.consumer(KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap_servers)
        consumer.wait_for_text("nothing is lost, trying again")
        broker.start()
        broker.wait_ready()
        consumer.wait_for_text("dispatched 1", timeout_seconds=40)
        task = QueueReader(redis_url).take()
        assert task is not None
        broker.kill()
        QueueReader(redis_url).finish(task)
        broker.start()
        broker.wait_ready()
        group = ferry.settings["CONSUMER_GROUP"]
        eventually(lambda: committed_offsets(broker.bootstrap_servers, group, topic), {0: 1}, timeout_seconds=60)
    finally:
        broker.stop()


def test_a_dead_letter_that_kafka_refuses_stays_in_the_ledger(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """It is told with advice, its offset isn't committed, and later records go on."""
    create_topic(kafka.bootstrap_servers, topic)
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq", config={"max.message.bytes": "1000"})
    produce(kafka.bootstrap_servers, topic, [b"{" + random.Random(1).randbytes(5_000), *texts(1)])
    consumer = ferry.consumer()
    consumer.wait_for_text("Kafka did not take a dead letter.*raise max.message.bytes")
    queue = QueueReader(ferry.settings["CELERY_BROKER_URL"])
    task = queue.take()
    assert task is not None
    queue.finish(task)
    time.sleep(1)
    assert consumer.output().count("Kafka did not take a dead letter") == 1
    assert committed_offsets(kafka.bootstrap_servers, group, topic) == {0: 0}
    assert queue.client.zrange(LedgerKeys.of("", group, Place(topic, 0)).inflight, 0, -1) == [b"0"]
