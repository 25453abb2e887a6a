"""Pauses on real Kafka and real Valkey: what is taken in, what goes on, and what a pause survives."""

import json
import signal
from pathlib import Path

import redis

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from ferry_shared.ledger.pauses import read_pauses
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader
from tests.support.valkey_server import ValkeyServer

FAST = {"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"}
WAIT_SECONDS = 30.0


def ferry_command(ferry: FerryProcesses, *words: str) -> tuple[int, str, str]:
    """Run `ferry WORDS...`."""
    done = ferry.run("-m", "ferry_console", *words)
    return done.returncode, done.stdout, done.stderr


class Told:
    """What the consumers last wrote of a topic's partitions."""

    def __init__(self, ferry: FerryProcesses, topic: str) -> None:
        self._client = redis.Redis.from_url(ferry.settings["CELERY_BROKER_URL"])
        self._key = f"ferry:status:{ferry.settings['CONSUMER_GROUP']}"
        self._topic = topic

    def partition(self, number: int = 0) -> tuple[int, int, str | None]:
        """Log end, position and why it is paused."""
        status = json.loads(self._client.hget(self._key, f"{self._topic}:{number}") or b"{}")
        return status.get("log_end"), status.get("position"), status.get("paused")

    def wait_for(self, log_end: int, position: int, paused: str | None, number: int = 0) -> None:
        """Wait until a partition tells exactly that: also that it took nothing in although it knew of more."""
        eventually(lambda: self.partition(number), (log_end, position, paused), WAIT_SECONDS)

    def wait_until_paused(self, paused: str | None, number: int = 0) -> None:
        """Wait until a partition tells that reason."""
        eventually(lambda: self.partition(number)[2] == paused, expected=True, timeout_seconds=WAIT_SECONDS)


def finish_all(queue: QueueReader) -> list[str]:
    """Play the worker: every task in the queue ends; returns their texts."""
    tasks = list(queue.take_all())
    for task in tasks:
        queue.finish(task)
    return [json.loads(task.payload)["text"] for task in tasks]


def test_a_pause_while_busy_stops_intake_and_nothing_else(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Commits, a retry and a dead letter of what is in flight go on; probes stay green; resume goes on where it was."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(*range(20)))
    port, told = free_port(), Told(ferry, topic)
    consumer = ferry.consumer(CONSUMER_HTTP_PORT=str(port), **FAST)
    eventually(lambda: len(queue.peek_ids()), 20, WAIT_SECONDS)

    code, out, err = ferry_command(ferry, "pause", topic, "--reason", "the shop moves")
    assert (code, err) == (0, "")
    assert f"paused {topic} by " in out
    assert "the shop moves" in out
    consumer.wait_for_text(rf"{topic}: intake paused by .*: the shop moves")
    produce(kafka.bootstrap_servers, topic, texts(*range(20, 30)))
    failing, retrying, *others = queue.take_all()
    for task in (failing, retrying):
        queue.ledger.claim(task.header, "owner", lease_ms=60_000, max_claims=3)
    queue.ledger.fail(failing.header, "owner", "ValueError: no", b"x")
    stored = {"body": json.dumps([["again"], {}, {}]), "retries": 1, "timestamp_ms": 7}
    queue.ledger.retry(retrying.header, "owner", 0, json.dumps(stored).encode())
    for task in others:
        queue.finish(task)
    eventually(lambda: len(queue.peek_ids()), 1, WAIT_SECONDS)
    again = queue.take()
    assert again is not None
    assert (again.task_id, again.payload) == (retrying.task_id, "again")
    queue.finish(again)
    eventually(lambda: end_offsets(kafka.bootstrap_servers, f"{topic}.dlq"), {0: 1}, WAIT_SECONDS)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 20}, WAIT_SECONDS)
    told.wait_for(30, 20, "operator")
    assert queue.peek_ids() == []
    assert (http_get(port, "/livez")[0], http_get(port, "/readyz")[0]) == (200, 200)
    assert f'ferry_paused{{partition="0",topic="{topic}"}} 1.0' in http_get(port, "/metrics")[1]

    assert ferry_command(ferry, "resume", topic)[0] == 0
    consumer.wait_for_text(rf"{topic}: resumed; it was paused by .*: the shop moves")
    eventually(lambda: len(queue.peek_ids()), 10, WAIT_SECONDS)
    assert finish_all(queue) == [f"text {number}" for number in range(20, 30)]
    told.wait_for(30, 30, None)
    assert ferry_command(ferry, "resume", topic)[0] == 1


def test_a_pause_before_the_consumer_starts_and_over_its_restart(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str
) -> None:
    """It needs no ledger: the first consumer reads it before it dispatches anything, and so does the next."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    told = Told(ferry, topic)
    code, _, err = ferry_command(ferry, "pause", topic)
    assert code == 0
    assert f"no consumer of the group {ferry.settings['CONSUMER_GROUP']} knows the topic {topic}" in err
    for name in ("first", "second"):
        queue.client.delete(f"ferry:status:{ferry.settings['CONSUMER_GROUP']}")
        consumer = ferry.consumer(name, **FAST)
        consumer.wait_for_text(rf"{topic}: intake paused by .*: no reason given")
        told.wait_for(3, 0, "operator")
        assert queue.peek_ids() == []
        consumer.send_signal(signal.SIGTERM)
        assert consumer.wait() == 0
    assert ferry_command(ferry, "resume", topic)[0] == 0
    ferry.consumer("third")
    eventually(lambda: len(queue.peek_ids()), 3, WAIT_SECONDS)


def test_a_pause_survives_a_redis_that_lost_everything(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """The consumer writes it again from memory; what was in flight is dispatched again only after resume."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1, 2))
    told = Told(ferry, topic)
    consumer = ferry.consumer(**FAST)
    eventually(lambda: len(queue.peek_ids()), 3, WAIT_SECONDS)
    ferry_command(ferry, "pause", topic, "--reason", "the shop moves")
    told.wait_for(3, 3, "operator")
    before = read_pauses(queue.client, "", group)
    assert list(before) == [topic]

    queue.client.flushdb()

    consumer.wait_for_text(rf"{topic}: Redis has lost its pause, written again: .*the shop moves")
    consumer.wait_for_text("Redis has lost the ledger.* 3 offsets again")
    told.wait_for(3, 0, "operator")
    assert read_pauses(queue.client, "", group) == before
    assert queue.peek_ids() == []
    ferry_command(ferry, "resume", topic)
    eventually(lambda: len(queue.peek_ids()), 3, WAIT_SECONDS)
    assert finish_all(queue) == ["text 0", "text 1", "text 2"]
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 3}, WAIT_SECONDS)


def test_one_partition_pauses_alone(kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str) -> None:
    """The other one goes on; resuming a partition does not resume its topic."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    told = Told(ferry, topic)
    ferry.consumer(**FAST)
    told.wait_for(0, 0, None, 1)
    assert ferry_command(ferry, "pause", f"{topic}:1")[0] == 0
    told.wait_for(0, 0, "operator", 1)
    for number in range(2):
        produce(kafka.bootstrap_servers, topic, texts(number), partition=number)
    eventually(lambda: len(queue.peek_ids()), 1, WAIT_SECONDS)
    assert finish_all(queue) == ["text 0"]
    told.wait_for(1, 0, "operator", 1)

    assert ferry_command(ferry, "pause", topic)[0] == 0
    code, out, err = ferry_command(ferry, "resume", f"{topic}:1")
    assert code == 0
    assert f"resumed {topic}:1" in out
    assert f"the whole topic {topic} is paused" in err
    told.wait_for(1, 1, "operator", 0)
    told.wait_for(1, 0, "operator", 1)
    assert queue.peek_ids() == []
    assert ferry_command(ferry, "resume", topic)[0] == 0
    eventually(lambda: len(queue.peek_ids()), 1, WAIT_SECONDS)
    assert finish_all(queue) == ["text 1"]


def _ballast(server: ValkeyServer, megabytes: int) -> None:
    """Fill Redis with something that isn't Ferry's; in pieces, since what a client sends counts as used memory too."""
    with server.client() as client:
        client.delete("ballast")
        for number in range(megabytes):
            client.hset("ballast", str(number), "x" * 1_000_000)


def test_intake_pauses_before_redis_is_full(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str, tmp_path: Path
) -> None:
    """Tasks go on; when Redis has room again, so does intake."""
    server = ValkeyServer(tmp_path / "valkey", options={"maxmemory": "40mb"})
    server.start()
    server.wait_ready()
    try:
        ferry.settings["CELERY_BROKER_URL"] = server.url
        queue, told = QueueReader(server.url), Told(ferry, topic)
        create_topic(kafka.bootstrap_servers, topic)
        produce(kafka.bootstrap_servers, topic, texts(0))
        consumer: FerryProcess = ferry.consumer(CONSUMER_REDIS_MEMORY_LIMIT_RATIO="0.5", **FAST)
        eventually(lambda: len(queue.peek_ids()), 1, WAIT_SECONDS)

        _ballast(server, 25)
        told.wait_for(1, 1, "memory")
        consumer.wait_for_text(r"Redis uses \d\d % of its maxmemory: intake pauses, and goes on below 47 %")
        produce(kafka.bootstrap_servers, topic, texts(1))
        told.wait_for(2, 1, "memory")
        assert finish_all(queue) == ["text 0"]
        eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 1}, WAIT_SECONDS)
        assert queue.peek_ids() == []

        _ballast(server, 0)
        eventually(lambda: len(queue.peek_ids()), 1, WAIT_SECONDS)
        consumer.wait_for_text(r"Redis uses \d+ % of its maxmemory: intake goes on")
        assert finish_all(queue) == ["text 1"]
    finally:
        server.stop()
