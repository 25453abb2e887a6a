"""A backlog that is dispatched in batches, by a real consumer: what people are told of them, and what becomes of them
when their messages vanish or an operator skips one."""

import json
from collections.abc import Iterable
from typing import Any

from ferry_console.local.kafka import LocalKafka
from ferry_shared.record import TaskId
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, produce, read_all
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader

COUNT, INVALID = 250, 120


def told(ferry: FerryProcesses, *words: str, code: int = 0) -> dict[str, Any]:
    """What a command says to programs; it must end with this exit code."""
    done = ferry.run("-m", "ferry_console", *words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def batches_in(queue: QueueReader) -> list[TaskId]:
    """The ids in the queue, in order."""
    return [TaskId.parse(task_id) for task_id in queue.peek_ids()]


def offsets_of(ids: Iterable[TaskId]) -> list[int]:
    """Every offset of these; this topic has no gaps."""
    return [offset for one in ids for offset in range(one.first, one.last + 1)]


def dead(kafka: LocalKafka, topic: str) -> dict[str, str]:
    """The dead letters: task id and reason."""
    letters = [dict(record.headers) for record in read_all(kafka.bootstrap_servers, f"{topic}.dlq")]
    return {str(_text(one["ferry.task-id"])): str(_text(one["ferry.reason"])) for one in letters}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_batches_that_vanish_or_are_skipped(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Each message goes on by itself: as a task that a worker can run, or as a dead letter under its own id."""
    create_topic(kafka.bootstrap_servers, topic)
    values: list[bytes | None] = list(texts(*range(COUNT)))
    values[INVALID] = b"{"
    produce(kafka.bootstrap_servers, topic, values)
    ferry.settings |= {"CONSUMER_BATCH_SIZE": "100", "CONSUMER_REDELIVER_AFTER_SECONDS": "5"}
    consumer = ferry.consumer()
    expected = [offset for offset in range(COUNT) if offset != INVALID]
    eventually(lambda: offsets_of(batches_in(queue)), expected)
    batches = batches_in(queue)
    assert len(batches) < 30
    assert all(one.last - one.first < 100 for one in batches)
    skipped = max(batches, key=lambda one: one.last - one.first)
    inside = TaskId(group, topic, 0, skipped.first + 1, skipped.first + 1).text

    trace = told(ferry, "trace", inside)
    size = skipped.last - skipped.first + 1
    assert trace["state"] == "queued"
    assert trace["batch"] == {"task_id": skipped.text, "messages": size, "progress": None}
    assert told(ferry, "trace", skipped.text)["state"] == "queued"
    eventually(lambda: told(ferry, "in-flight", "list")["in_flight"], COUNT - 1)
    listed = {entry["task_id"]: entry["messages"] for entry in told(ferry, "in-flight", "list")["entries"]}
    assert listed == {one.text: one.last - one.first + 1 for one in batches}
    refused = told(ferry, "skip", inside, "--reason", "no", code=1)
    assert (refused["result"], refused["batch"]) == ("in-batch", skipped.text)
    assert told(ferry, "skip", skipped.text, "--reason", "no")["messages"] == size
    gone = {TaskId(group, topic, 0, offset, offset).text for offset in offsets_of([skipped])}
    invalid = TaskId(group, topic, 0, INVALID, INVALID).text
    eventually(lambda: dead(kafka, topic), dict.fromkeys(gone, "skipped") | {invalid: "not-json"})

    queue.client.delete("celery")
    alone = [offset for offset in expected if offset not in offsets_of([skipped])]
    eventually(lambda: sorted(offsets_of(batches_in(queue))), alone, timeout_seconds=40)
    tasks = list(queue.take_all())
    assert [(task.task_id, task.payload) for task in sorted(tasks, key=lambda one: int(one.header.member))] == [
        (TaskId(group, topic, 0, offset, offset).text, (values[offset] or b"").decode()) for offset in alone
    ]
    for task in tasks:
        queue.finish(task)
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: COUNT})
    assert told(ferry, "in-flight", "list")["in_flight"] == 0
    ended = told(ferry, "trace", skipped.text)
    assert (ended["state"], ended["dead_letters"]) == ("no_batch", None)
    assert consumer.running
