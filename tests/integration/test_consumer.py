"""The consumer on real Kafka and real Valkey; the tests play the worker."""

import json
import signal

import pytest
import redis

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition as Place
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import group_members
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce, read_all
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader


def test_a_record_is_queued_once_and_committed_when_it_is_done(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """The offset waits for the task, not for the queue."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 3)
    first, second, third = queue.take_all()
    assert [task.task_id for task in (first, second, third)] == [f"{topic}-0-{offset}@{group}" for offset in range(3)]
    assert [json.loads(task.payload)["text"] for task in (first, second, third)] == ["text 0", "text 1", "text 2"]
    queue.finish(second)
    queue.finish(first)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 2})
    queue.finish(third)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 3})
    keys = LedgerKeys.of("", group, Place(topic, 0))
    eventually(lambda: queue.client.exists(keys.inflight, keys.state, keys.attention, keys.times), 0)


def test_missing_topics_are_created_and_read_from_the_first_record(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """Topic and dead-letter topic, before anybody sends."""
    consumer = ferry.consumer(CONSUMER_TOPIC_PARTITIONS="2")
    consumer.wait_for_text(rf"{topic}-1: from offset 0")
    assert end_offsets(kafka.bootstrap_servers, topic) == {0: 0, 1: 0}
    assert end_offsets(kafka.bootstrap_servers, f"{topic}.dlq") == {0: 0}
    produce(kafka.bootstrap_servers, topic, texts(7))
    eventually(lambda: [json.loads(task.payload)["text"] for task in queue.take_all()], ["text 7"])


def test_an_invalid_record_becomes_a_dead_letter_unchanged(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Value, key and headers as they were, then origin and reason; its offset is committed."""
    create_topic(kafka.bootstrap_servers, topic)
    own: list[tuple[str, bytes | None]] = [("trace", b"\xff\x00"), ("trace", b"2")]
    produce(kafka.bootstrap_servers, topic, [b"not json"], key=b"k\xff", headers=own)
    produce(kafka.bootstrap_servers, topic, [None, *texts(1)])
    ferry.consumer()
    eventually(lambda: end_offsets(kafka.bootstrap_servers, f"{topic}.dlq"), {0: 2})
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 2})
    letter, tombstone = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert (letter.value, letter.key, letter.headers[:2]) == (b"not json", b"k\xff", own)
    added = dict(letter.headers[2:])
    assert added["__dlq.errors.topic"] == added["x-original-topic"] == topic.encode()
    assert (added["__dlq.errors.offset"], added["ferry.reason"]) == (b"0", b"not-json")
    assert (tombstone.value, dict(tombstone.headers)["ferry.reason"]) == (None, b"empty")
    assert [json.loads(task.payload)["text"] for task in queue.take_all()] == ["text 1"]


def test_dead_letters_survive_a_consumer_that_is_killed_before_they_are_written(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """They are entries of the ledger: the next consumer reads their records again from Kafka."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, [b"broken %d" % number for number in range(50)])
    idle = ferry.consumer(CONSUMER_SNAPSHOT_INTERVAL_MS="60000")
    idle.wait_for_text(rf"{topic}-0: from offset 0")
    inflight = LedgerKeys.of("", group, Place(topic, 0)).inflight
    client = redis.Redis.from_url(ferry.settings["CELERY_BROKER_URL"])
    eventually(lambda: client.zcard(inflight), 50)
    idle.kill()
    assert end_offsets(kafka.bootstrap_servers, f"{topic}.dlq") == {0: 0}
    ferry.consumer()
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 50}, timeout_seconds=30)
    letters = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert sorted(letter.value or b"" for letter in letters) == sorted(b"broken %d" % number for number in range(50))


def test_sigterm_finishes_commits_and_leaves(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Exit code 0, what is done is committed, and the next consumer gets the partition at once."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1))
    consumer = ferry.consumer(CONSUMER_SNAPSHOT_INTERVAL_MS="60000")
    eventually(lambda: len(queue.peek_ids()), 2)
    for task in queue.take_all():
        queue.finish(task)
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait() == 0
    assert committed_offsets(kafka.bootstrap_servers, group, topic) == {0: 2}
    assert group_members(kafka.bootstrap_servers, group) == 0, "it didn't leave"
    ferry.consumer("next").wait_for_text(rf"{topic}-0: from offset 2 \(continued", timeout_seconds=5)


def test_a_killed_consumer_repeats_nothing(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """kill -9 in the middle of 20,000: every record is in the queue exactly once."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    produce(kafka.bootstrap_servers, topic, texts(*range(20_000)))
    # With this limit it stops in the middle if the kill comes late.
    in_the_middle = {"CONSUMER_INTAKE_MAX_MESSAGES": "100", "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "5000"}
    killed = ferry.consumer(CONSUMER_INSTANCE_ID="same", **in_the_middle)
    killed.wait_for_text(r"dispatched")
    killed.kill()
    before = len(queue.peek_ids())
    assert 0 < before < 20_000
    ferry.consumer("next", CONSUMER_INSTANCE_ID="same", CONSUMER_MAX_IN_FLIGHT_PER_PARTITION="100000")
    eventually(lambda: len(queue.peek_ids()), 20_000, timeout_seconds=40)
    assert sorted(json.loads(task.payload)["text"] for task in queue.take_all()) == sorted(
        f"text {number}" for number in range(20_000)
    )


def test_a_partition_pauses_at_its_limit_and_goes_on_below_it(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """Workers that are slower than the topic fill neither Redis nor memory."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(*range(500)))
    consumer = ferry.consumer(CONSUMER_MAX_IN_FLIGHT_PER_PARTITION="100", CONSUMER_INTAKE_MAX_MESSAGES="50")
    consumer.wait_for_text("in flight, pausing")
    done: list[str] = []
    while len(done) < 500:
        eventually(lambda: len(queue.peek_ids()) > 0, expected=True)
        assert len(queue.peek_ids()) <= 150
        for task in queue.take_all():
            done.append(json.loads(task.payload)["text"])
            queue.finish(task)
    assert sorted(done) == sorted(f"text {number}" for number in range(500))


def test_probes_and_metrics_tell_how_it_is(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, redis_url: str
) -> None:
    """Alive and ready, gauges per partition, and the status in Redis for those who have no Kafka."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0))
    port = free_port()
    ferry.consumer(CONSUMER_HTTP_PORT=str(port), CONSUMER_STATUS_INTERVAL_SECONDS="0.2")
    eventually(lambda: http_get(port, "/readyz"), (200, "ok\n"))
    assert http_get(port, "/livez") == (200, "ok\n")
    assert http_get(port, "/other")[0] == 404
    wanted = f'ferry_backlog{{partition="0",topic="{topic}"}} 1.0'
    eventually(lambda: wanted in http_get(port, "/metrics")[1], expected=True)
    client = redis.Redis.from_url(redis_url)
    key, field = f"ferry:status:{ferry.settings['CONSUMER_GROUP']}", f"{topic}:0"

    def told() -> list[int]:
        status = json.loads(client.hget(key, field) or b"{}")
        return [status.get(name) for name in ("log_end", "position", "in_flight", "committed")]

    eventually(told, [1, 1, 1, 0])


def test_a_second_consumer_with_the_same_instance_id_ends_the_first_with_a_sentence(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """Static membership: the newer one wins, the older one says what to change."""
    create_topic(kafka.bootstrap_servers, topic)
    first = ferry.consumer(CONSUMER_INSTANCE_ID="same")
    first.wait_for_text(rf"{topic}-0: from offset 0")
    ferry.consumer("second", CONSUMER_INSTANCE_ID="same")
    assert first.wait() == 2
    assert "CONSUMER_INSTANCE_ID: another consumer" in first.output()


def test_a_wrong_setting_is_told_by_name(ferry: FerryProcesses) -> None:
    """Exit code 2, one readable message, no traceback."""
    done = ferry.run("-m", "ferry_consumer", "run", settings={"CONSUMER_HTTP_PORT": "many", "FERRY_ROUTES": ""})
    assert done.returncode == 2
    assert "CONSUMER_HTTP_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "properties", ['{"no.such.property": 1}', '{"security.protocol": "ssl", "ssl.ca.location": "/nowhere"}']
)
def test_a_property_that_librdkafka_refuses_is_told_in_words(ferry: FerryProcesses, properties: str) -> None:
    """Exit code 2; no traceback."""
    done = ferry.run("-m", "ferry_consumer", "run", settings={"KAFKA_CLIENT_PROPERTIES": properties})
    assert done.returncode == 2
    assert "KAFKA_CLIENT_PROPERTIES" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_retry_is_queued_when_it_is_due_with_its_changed_arguments(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """Under the next token, so that the old message is stale."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0))
    ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 1)
    first = queue.take()
    assert first is not None
    queue.ledger.claim(first.header, "owner", lease_ms=60_000, max_claims=3)
    stored = {"body": json.dumps([["changed"], {}, {}]), "retries": 2, "timestamp_ms": 7}
    queue.ledger.retry(first.header, "owner", 1500, json.dumps(stored).encode())
    assert queue.peek_ids() == []
    eventually(lambda: len(queue.peek_ids()), 1)
    second = queue.take()
    assert second is not None
    assert (second.payload, second.retries, second.header.timestamp_ms) == ("changed", 2, 7)
    assert queue.ledger.claim(first.header, "late", lease_ms=1000, max_claims=3).verdict == "stale"
    queue.finish(second)


def test_a_failed_task_becomes_a_dead_letter_with_its_original_record(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Key, value and headers are read again from Kafka."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0), key=b"key", headers=[("trace", b"1")])
    ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 1)
    task = queue.take()
    assert task is not None
    queue.ledger.claim(task.header, "owner", lease_ms=60_000, max_claims=3)
    queue.ledger.fail(task.header, "owner", "ValueError: no", task.payload.encode())
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 1})
    (letter,) = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert (letter.key, letter.value, letter.headers[0]) == (b"key", texts(0)[0], ("trace", b"1"))
    assert dict(letter.headers)["__dlq.errors.message"] == b"ValueError: no"
    assert dict(letter.headers)["__dlq.errors.delivery.count"] == b"1"
