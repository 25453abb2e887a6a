"""A broken sender, on real Kafka and Valkey: the topic stops before it becomes dead letters, and nothing is lost."""

import json
import signal
from collections import Counter

import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.integration.test_pauses import WAIT_SECONDS, Told, ferry_command
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce, read_all
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader

LIMITS = {
    "CONSUMER_DEAD_LETTER_LIMIT_RUN": "100",
    "CONSUMER_INTAKE_MAX_MESSAGES": "20",
    "CONSUMER_STATUS_INTERVAL_SECONDS": "0.2",
}
_TOLERANT_ROUTES = """\
import os

from ferry_shared.routes import Route

routes = [Route(topic=os.environ["FERRY_TOPIC"], message=dict[str, str], task="task")]
"""


def renamed(*numbers: int) -> list[bytes]:
    """What a sender sends that has renamed a field."""
    return [json.dumps({"words": f"text {number}"}).encode() for number in numbers]


@pytest.fixture
def tolerant(ferry: FerryProcesses) -> dict[str, str]:
    """The settings of a consumer whose model takes both names."""
    (ferry.directory / "tolerant_routes.py").write_text(_TOLERANT_ROUTES)
    return {"FERRY_ROUTES": "tolerant_routes:routes"}


def test_a_broken_sender_stops_its_topic_and_nothing_is_lost(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str, tolerant: dict[str, str]
) -> None:
    """It stays stopped over a restart; with a model that takes the records, `ferry resume` brings all the rest."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    port = free_port()
    consumer = ferry.consumer(CONSUMER_HTTP_PORT=str(port), **LIMITS)
    for partition in range(2):
        produce(kafka.bootstrap_servers, topic, texts(*range(10)), partition=partition)
    eventually(lambda: len(queue.peek_ids()), 20, WAIT_SECONDS)
    for partition in range(2):
        produce(kafka.bootstrap_servers, topic, renamed(*range(10, 400)), partition=partition)

    line = consumer.wait_for_text(rf"ERROR .*{topic}: \d+ of its last \d+ records were invalid, mostly invalid.*")
    assert f"such as {topic}-" in line
    assert line.endswith(f"ferry resume {topic}")
    told = Told(ferry, topic)
    for partition in range(2):
        told.wait_until_paused("dead-letter limit", partition)
    assert http_get(port, "/readyz")[0] == 200
    assert f'ferry_paused{{partition="1",topic="{topic}"}} 1.0' in http_get(port, "/metrics")[1]
    stopped_at = {number: told.partition(number)[1] for number in range(2)}
    letters = sum(stopped_at.values()) - 20
    assert 0 < letters < 120, "what was dispatched before the run was full ends as usual, and no more than that"
    eventually(lambda: end_offsets(kafka.bootstrap_servers, f"{topic}.dlq"), {0: letters}, WAIT_SECONDS)
    valid = list(queue.take_all())
    for task in valid:
        queue.finish(task)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), stopped_at, WAIT_SECONDS)

    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait() == 0
    queue.client.delete(f"ferry:status:{group}")
    mended = ferry.consumer("mended", **LIMITS, **tolerant)
    mended.wait_for_text(rf"{topic}: intake paused by consumer .*: \d+ of its last")
    for partition in range(2):
        told.wait_for(400, stopped_at[partition], "dead-letter limit", partition)
    assert queue.peek_ids() == []
    code, out, _ = ferry_command(ferry, "resume", topic)
    assert code == 0
    assert "by consumer " in out
    eventually(lambda: len(queue.peek_ids()), 800 - 20 - letters, WAIT_SECONDS)
    rest = list(queue.take_all())
    for task in rest:
        queue.finish(task)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 400, 1: 400}, WAIT_SECONDS)
    dead = [dict(letter.headers)["ferry.task-id"] for letter in read_all(kafka.bootstrap_servers, f"{topic}.dlq")]
    ended = Counter([task.task_id for task in (*valid, *rest)])
    ended.update(task_id.decode() if isinstance(task_id, bytes) else str(task_id) for task_id in dead)
    expected = [f"{topic}-{number}-{offset}@{group}" for number in range(2) for offset in range(400)]
    assert ended == Counter(expected)


def test_a_topic_that_is_still_broken_stops_again(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """After resume the run starts anew: one more run of dead letters at most, then the next pause."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, renamed(*range(1_000)))
    told = Told(ferry, topic)
    ferry.consumer(**LIMITS)
    told.wait_until_paused("dead-letter limit")
    _, first, _ = told.partition()
    assert first < 120
    assert ferry_command(ferry, "resume", topic)[0] == 0
    eventually(lambda: told.partition()[1] > first, expected=True, timeout_seconds=WAIT_SECONDS)
    told.wait_until_paused("dead-letter limit")
    _, second, _ = told.partition()
    assert second - first < 120
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: second}, WAIT_SECONDS)
    assert end_offsets(kafka.bootstrap_servers, f"{topic}.dlq") == {0: second}


def test_two_consumers_stop_together(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Each has its own window; the pause is the topic's, and one resume ends it for both."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    told, names = Told(ferry, topic), ("one", "other")
    consumers = [ferry.consumer(name, **LIMITS) for name in names]
    for consumer in consumers:
        consumer.wait_for_text(rf"{topic}-\d: from offset")
    produce(kafka.bootstrap_servers, topic, renamed(*range(150)), partition=0)
    for partition in range(2):
        told.wait_until_paused("dead-letter limit", partition)
    errors = [consumer.output().count("records were invalid, mostly invalid") for consumer in consumers]
    assert sum("ERROR" in consumer.output() for consumer in consumers) == 1
    assert sum(count > 0 for count in errors) == 2
    assert ferry_command(ferry, "resume", topic, "--dry-run")[0] == 0
    assert ferry_command(ferry, "resume", topic)[0] == 0
    for partition, end in enumerate((150, 0)):
        told.wait_for(end, end, None, partition)
