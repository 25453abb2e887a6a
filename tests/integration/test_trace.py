"""`ferry trace` against a live system: every stage of a message, and what is said when a server is away."""

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from ferry_console.trace.findings import DeadLetters
from ferry_console.trace.kafka_side import CLOCK_MARGIN_MS, SEARCH_SECONDS, KafkaSide
from ferry_shared.ledger.client import connect
from ferry_shared.record import TaskId
from ferry_shared.settings import ConsumerSettings
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import delete_records_before, produce_in_transactions
from tests.support.kafka_records import create_topic, end_offsets, produce
from tests.support.messages import texts
from tests.support.queue_reader import QueueReader
from tests.support.task_routes import route

ONE_AT_A_TIME = ("-c", "1", *QUICK_START)
NOBODY_THERE = "127.0.0.1:1"


def traced(ferry: FerryProcesses, task_id: str, code: int = 0, **settings: str) -> dict[str, Any]:
    """Trace a message; the command must end with this exit code."""
    done = ferry.run("-m", "ferry_console", "trace", task_id, "--json", settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def state(ferry: FerryProcesses, task_id: str) -> str:
    """Where a message is, whatever the exit code."""
    done = ferry.run("-m", "ferry_console", "trace", task_id, "--json")
    return str(json.loads(done.stdout)["state"])


def orders(*numbers: int) -> list[bytes | None]:
    """Messages for the tasks of `worker_tasks`."""
    return [json.dumps({"number": number}).encode() for number in numbers]


@pytest.mark.single_messages
def test_queued_taken_running_done_and_dead(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> None:
    """Ten slow tasks and one worker process: each is where the trace says, with its times."""
    create_topic(kafka.bootstrap_servers, topic)
    events = route(ferry, {topic: "tests.waiting"})
    produce(kafka.bootstrap_servers, topic, [*orders(*range(10)), b"broken"], key=b"key", headers=[("trace", b"1")])

    def task(offset: int) -> str:
        return f"{topic}-0-{offset}@{group}"

    before = traced(ferry, task(3))
    assert (before["state"], before["kafka"]["record"]["value"]) == ("no_ledger", '{"number": 3}')
    ferry.consumer()
    eventually(lambda: state(ferry, task(9)), "queued")
    assert (traced(ferry, task(9))["ahead_in_queue"], traced(ferry, task(4))["ahead_in_queue"]) == (9, 4)
    assert traced(ferry, task(11), code=1)["state"] == "not_sent"
    eventually(lambda: state(ferry, task(10)), "dead")
    assert traced(ferry, task(10))["dead_letters"][0]["topic"] == f"{topic}.dlq"

    worker = ferry.worker(*ONE_AT_A_TIME)
    eventually(lambda: state(ferry, task(0)), "running", timeout_seconds=60)
    running = traced(ferry, task(0))
    entry = running["entry"]
    assert (entry["attempt"], entry["starts"], entry["copy"]) == (1, 1, 1)
    times = [
        running["kafka"]["record"]["timestamp"],
        running["ledger"]["dispatched"],
        entry["enqueued"],
        entry["claimed"],
    ]
    assert times == sorted(times)
    assert entry["claim_until"] > entry["claimed"]
    assert running["kafka"]["record"]["headers"] == [["trace", "1"]]
    eventually(lambda: [state(ferry, task(offset)) for offset in (1, 9)], ["taken", "queued"])

    events.with_name("release").touch()
    eventually(lambda: state(ferry, task(9)), "done", timeout_seconds=60)
    assert worker.running
    told = ferry.run("-m", "ferry_console", "trace", task(9))
    assert told.returncode == 0
    assert told.stdout.startswith(f"{task(9)}: done\n")
    assert "when is not" in told.stdout


def test_a_retry_and_a_failure(kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str) -> None:
    """When the retry is due and with what; then the error, and where the dead letter is."""
    failing = f"{topic}-failing"
    for name in (topic, failing):
        create_topic(kafka.bootstrap_servers, name)
        produce(kafka.bootstrap_servers, name, orders(1))
    route(ferry, {topic: "tests.postponing", failing: "tests.failing"})
    ferry.consumer()
    ferry.worker(*ONE_AT_A_TIME)
    eventually(lambda: state(ferry, f"{topic}-0-0@{group}"), "retrying", timeout_seconds=60)
    told = traced(ferry, f"{topic}-0-0@{group}")
    entry = told["entry"]
    assert (told["state"], entry["attempt"]) == ("retrying", 2)
    assert _seconds_between(entry["claimed"], entry["retry_due"]) == pytest.approx(3600, abs=60)
    assert '"number":2' in entry["stored"].replace(" ", "").replace("\\", "")
    eventually(lambda: state(ferry, f"{failing}-0-0@{group}"), "dead")
    (letter,) = traced(ferry, f"{failing}-0-0@{group}")["dead_letters"]
    assert letter["value"] == '{"number": 1}'
    assert "ValueError: no such order" in dict(letter["headers"])["__dlq.errors.message"]


def _seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


@pytest.mark.single_messages
def test_a_worker_that_died(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Its task is running until its claim ends, then left; the other one it had taken is still taken."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, orders(0, 1))
    events = route(ferry, {topic: "tests.waiting"})
    ferry.consumer()
    limits = {"WORKER_TASK_TIME_LIMIT_SECONDS": "3", "WORKER_LEASE_MARGIN_SECONDS": "5"}
    worker = ferry.worker(*ONE_AT_A_TIME, **limits)
    # A trace takes a good part of the time that the task has.
    eventually(lambda: (events.exists(), queue.client.hlen("unacked")), (True, 2), timeout_seconds=60)
    worker.kill()
    assert traced(ferry, f"{topic}-0-0@{group}")["state"] == "running"
    assert traced(ferry, f"{topic}-0-1@{group}")["state"] == "taken"
    eventually(lambda: state(ferry, f"{topic}-0-0@{group}"), "left")
    told = ferry.run("-m", "ferry_console", "trace", f"{topic}-0-0@{group}")
    assert "left by its worker (start 1, its claim ended" in told.stdout


def test_a_message_that_vanished(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """In flight, and neither in the queue nor with a worker; which can't be said of a queue that isn't known."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0))
    ferry.consumer()
    eventually(lambda: state(ferry, f"{topic}-0-0@{group}"), "queued")
    assert queue.take() is not None
    assert traced(ferry, f"{topic}-0-0@{group}")["state"] == "unseen"
    told = traced(ferry, f"{topic}-0-0@{group}", FERRY_ROUTES="not.there:routes")
    assert told["state"] == "waiting"
    assert told["missing"][0].startswith("its queue can't be searched: FERRY_ROUTES: can't import not.there")


def test_a_server_that_is_away(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """The half that answers is shown, what is missing is said, exit code 3."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0))
    consumer = ferry.consumer()
    eventually(lambda: state(ferry, f"{topic}-0-0@{group}"), "queued")
    task_id = f"{topic}-0-0@{group}"
    told = traced(ferry, task_id, code=3, KAFKA_BOOTSTRAP_SERVERS=NOBODY_THERE)
    assert (told["state"], told["kafka"], told["dead_letters"]) == ("queued", None, None)
    assert NOBODY_THERE in told["missing"][0]
    told = traced(ferry, task_id, code=3, CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert (told["state"], told["entry"], told["dead_letters"]) == ("unknown", None, [])
    assert json.loads(told["kafka"]["record"]["value"])["text"] == "text 0"
    assert told["missing"][0].startswith("Redis: ")
    consumer.kill()
    queue.client.flushdb()
    told = traced(ferry, task_id)
    assert (told["state"], told["ledger"]["condition"]) == ("no_ledger", "absent")


def test_ids_without_a_record(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """Deleted by retention, a transaction's marker, another group, no such topic: told apart, and none is made."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(*range(5)))
    produce_in_transactions(kafka.bootstrap_servers, topic, [(True, [text]) for text in texts(5) if text])
    delete_records_before(kafka.bootstrap_servers, topic, 2)
    assert traced(ferry, f"{topic}-0-1@{group}", code=1)["state"] == "deleted"
    assert traced(ferry, f"{topic}-0-6@{group}", code=1)["state"] == "absent"
    consumer = ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 4)
    for task in queue.take_all():
        queue.finish(task)
    eventually(lambda: state(ferry, f"{topic}-0-5@{group}"), "done")
    delete_records_before(kafka.bootstrap_servers, topic, 4)
    assert traced(ferry, f"{topic}-0-3@{group}")["state"] == "done"
    assert traced(ferry, f"{topic}-0-6@{group}", code=1)["state"] == "absent"
    assert consumer.running
    forgotten = traced(ferry, f"{topic}-0-5")
    assert forgotten["state"] == "no_ledger"
    assert "group ferry has no ledger" in forgotten["remarks"][0]
    assert traced(ferry, f"{topic}-9-0@{group}", code=1)["state"] == "no_topic"
    assert traced(ferry, f"no-{topic}-0-0@{group}", code=1)["state"] == "no_topic"
    assert end_offsets(kafka.bootstrap_servers, f"no-{topic}") == {}
    wrong = ferry.run("-m", "ferry_console", "trace", "hello")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "expected topic-partition-offset" in wrong.stderr


def test_a_senders_header_makes_no_dead_letter_of_another_message(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str
) -> None:
    """The last header of that name is Ferry's; those before are the sender's."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0))
    forged: list[tuple[str, bytes | None]] = [("ferry.task-id", f"{topic}-0-0@{group}".encode())]
    produce(kafka.bootstrap_servers, topic, [b"broken"], headers=forged)
    ferry.consumer()
    eventually(lambda: state(ferry, f"{topic}-0-1@{group}"), "dead")
    task = queue.take()
    assert task is not None
    queue.finish(task)
    told = traced(ferry, f"{topic}-0-0@{group}")
    assert (told["state"], told["dead_letters"]) == ("done", [])


@pytest.fixture
def side(kafka: LocalKafka) -> Iterator[KafkaSide]:
    """The half that asks Kafka."""
    side = KafkaSide(ConsumerSettings(kafka_bootstrap_servers=kafka.bootstrap_servers))
    yield side
    side.close()


def write_letters(kafka: LocalKafka, topic: str, *letters: tuple[int, int]) -> None:
    """Write dead letters of offsets, each with the time at which it was written."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for offset, written_ms in letters:
        headers: list[tuple[str, str | bytes | None]] = [("ferry.task-id", f"{topic}-0-{offset}".encode())]
        producer.produce(f"{topic}.dlq", b"{}", headers=headers, timestamp=written_ms)
    assert producer.flush(30) == 0


def search(
    side: KafkaSide, topic: str, offset: int, sent_ms: int | None, seconds: float = SEARCH_SECONDS
) -> DeadLetters:
    """Search the dead letters of one offset."""
    return side.dead_letters(TaskId("ferry", topic, 0, offset, offset), sent_ms, seconds)


def test_dead_letters_are_searched_from_when_the_record_was_sent(
    kafka: LocalKafka, side: KafkaSide, topic: str
) -> None:
    """What was written before is read only if nothing was found; and an end of time is told."""
    assert search(side, topic, 0, None) == DeadLetters((), 0, complete=True)
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq")
    assert search(side, topic, 0, None) == DeadLetters((), 0, complete=True)
    now_ms = int(time.time() * 1000)
    sent_ms = now_ms - 3_600_000
    old_ms = sent_ms - CLOCK_MARGIN_MS - 1
    letters = [(offset, old_ms) for offset in range(1_000)] + [(1_000 + offset, now_ms) for offset in range(100)]
    write_letters(kafka, topic, *letters)

    def found(offset: int, sent_ms: int | None) -> tuple[list[int], bool]:
        result = search(side, topic, offset, sent_ms)
        return [letter.offset for letter in result.found], result.complete

    late = search(side, topic, 1_050, sent_ms)
    assert ([letter.offset for letter in late.found], late.complete) == ([1_050], True)
    assert late.read == 100, "only what was written since should be read"
    assert found(3, sent_ms) == ([3], True), "a sender's clock can be wrong"
    assert found(3, now_ms + 86_400_000) == ([3], True)
    assert found(3, None) == found(3, -1) == ([3], True)
    assert found(5_000, sent_ms) == ([], True)
    assert search(side, topic, 5_000, sent_ms).read == 1_100
    assert search(side, topic, 3, sent_ms, seconds=0.0) == DeadLetters((), 0, complete=False)


def test_looking_changes_nothing(
    kafka: LocalKafka, ferry: FerryProcesses, queue: QueueReader, topic: str, group: str, tmp_path: Path
) -> None:
    """Neither Redis nor Kafka has anything more or less after a trace and a status."""
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, texts(0, 1))
    consumer = ferry.consumer()
    eventually(lambda: len(queue.peek_ids()), 2)
    consumer.kill()
    client = connect(ferry.settings["CELERY_BROKER_URL"])

    def dump() -> dict[bytes, Any]:
        keys: Any = client.keys("*")
        return {key: client.dump(key) for key in keys}

    before = dump()
    traced(ferry, f"{topic}-0-0@{group}")
    ferry.run("-m", "ferry_console", "status")
    assert dump() == before
    assert list(tmp_path.iterdir()) == []
