"""Consumer and worker that get bad input, and the account of what became of it: from the task's file and from Kafka."""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import redis
from confluent_kafka import KafkaError, Message, Producer

from ferry_shared.record import TaskId
from tests.support import bad_input_routes
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import RawRecord, committed_offsets, create_topic, end_offsets, read_all
from tests.support.processes_of import children_of

ROOT = Path(__file__).parents[2]
#: Nothing expires, and any time may stand on a record.
_TOPIC_OPTIONS = {
    "retention.ms": "-1",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}
DONE = "done"
_LARGEST_BYTES = 1_000_000_000
_PLAIN_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ +[a-z][A-Za-z_.]* \[[^ ]+\] |    \| ")
#: What could start a line or drive a terminal: controls, line and paragraph separators, what turns text around.
_ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Place(NamedTuple):
    """Where a record is in Kafka."""

    partition: int
    offset: int


class Sent(NamedTuple):
    """A record as it was handed to Kafka."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class BadInputSystem:
    """One topic with two partitions, one consumer, one worker with two processes."""

    def __init__(self, ferry: FerryProcesses, topic: str, **options: str) -> None:
        self.topic, self.group = topic, ferry.settings["CONSUMER_GROUP"]
        self.sent: dict[Place, Sent] = {}
        self.servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
        self.redis = redis.Redis.from_url(ferry.settings["CELERY_BROKER_URL"])
        self._record = ferry.directory / "bad-input.jsonl"
        ferry.settings |= {
            "FERRY_ROUTES": "tests.support.bad_input_routes:routes",
            "FERRY_IMPORTS": "tests.support.bad_input_tasks",
            bad_input_routes.TOPIC: topic,
            bad_input_routes.RECORD: str(self._record),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            # Nearly everything here is invalid on purpose.
            "CONSUMER_DEAD_LETTER_LIMIT_RUN": "0",
        }
        create_topic(self.servers, topic, 2, _TOPIC_OPTIONS | options)
        self.consumer: FerryProcess = ferry.consumer()
        quick = ("--concurrency=2", "--without-mingle", "--without-gossip", "--without-heartbeat")
        self.worker: FerryProcess = ferry.worker(*quick)
        self.consumer.wait_for(lambda output: output.count(": from offset") == 2)
        self.worker.wait_for_text(r"ready\.", 60.0)
        # Celery says some things at its start that are no log lines.
        self._said_at_start = {
            process.name: process.log_path.stat().st_size for process in (self.consumer, self.worker)
        }
        self._children = children_of(self.worker.pid)
        assert len(self._children) >= 2

    def send(self, records: Sequence[Sent], *, partition: int | None = None, compression: str = "none") -> list[Place]:
        """Write records, alternately to both partitions, and remember them; returns where they are."""
        producer = Producer(
            {
                "bootstrap.servers": self.servers,
                "linger.ms": 5,
                "message.max.bytes": _LARGEST_BYTES,
                "compression.type": compression,
                # One record a batch: the broker's limit counts batches.
                "batch.size": 1,
            }
        )
        places: dict[int, Place] = {}
        for number, record in enumerate(records):

            def delivered(error: KafkaError | None, message: Message, number: int = number) -> None:
                assert error is None, error
                places[number] = Place(message.partition() or 0, message.offset() or 0)

            to = number % 2 if partition is None else partition
            producer.produce(self.topic, record.value, record.key, to, delivered, headers=list(record.headers))
            producer.poll(0)
        assert producer.flush(60.0) == 0
        self.sent |= {places[number]: record for number, record in enumerate(records)}
        return [places[number] for number in range(len(records))]

    # What became of it

    def runs(self) -> list[dict[str, Any]]:
        """What tasks told, a run each."""
        return [json.loads(line) for line in self._record.read_bytes().splitlines()] if self._record.exists() else []

    def done(self) -> dict[Place, dict[str, Any]]:
        """What ran, by its place in Kafka as its task id tells it; fails if something ran twice."""
        found: dict[Place, dict[str, Any]] = {}
        for run in self.runs():
            task_id = TaskId.parse(run["request"]["id"])
            place = Place(task_id.partition, task_id.first)
            assert (task_id.topic, task_id.group) == (self.topic, self.group)
            assert place not in found, f"{place} ran twice"
            found[place] = run
        return found

    def dead(self) -> dict[Place, RawRecord]:
        """The dead letters, by where their records are; fails if there are two of one record."""
        found: dict[Place, RawRecord] = {}
        for letter in read_all(self.servers, f"{self.topic}.dlq"):
            # Ours come last: a record can have headers of the same names.
            told = dict(letter.headers)
            place = Place(_int(told["x-original-partition"]), _int(told["x-original-offset"]))
            assert place not in found, f"{place} has two dead letters"
            found[place] = letter
        return found

    def settle(self, timeout_seconds: float = 30.0) -> None:
        """Wait until everything that is in the topic is committed, which is after it has ended."""

        def is_committed() -> bool:
            committed = committed_offsets(self.servers, self.group, self.topic)
            ends = end_offsets(self.servers, self.topic)
            return all(committed.get(partition, 0) == end for partition, end in ends.items())

        eventually(is_committed, expected=True, timeout_seconds=timeout_seconds)

    def account(self) -> None:
        """Every offset is done or a dead letter, never both; every dead letter is its record, byte for byte."""
        ends = end_offsets(self.servers, self.topic)
        offsets = {Place(partition, offset) for partition, end in ends.items() for offset in range(end)}
        assert offsets == self.sent.keys(), "the test has lost track of what it sent"
        done, dead = self.done(), self.dead()
        assert offsets - done.keys() - dead.keys() == set()
        assert done.keys() & dead.keys() == set()
        assert (done.keys() | dead.keys()) - offsets == set()
        for place, letter in dead.items():
            record = self.sent[place]
            assert (letter.value, letter.key) == (record.value, record.key), place
            assert letter.headers[: len(record.headers)] == list(record.headers), place

    def ends(self) -> dict[Place, str]:
        """How each record ended: `done`, or why it became a dead letter."""
        dead = {place: dict(letter.headers)["ferry.reason"] for place, letter in self.dead().items()}
        reasons = {place: reason.decode() if isinstance(reason, bytes) else "" for place, reason in dead.items()}
        return dict.fromkeys(self.done(), DONE) | reasons

    # What it did to the processes

    def assert_nothing_restarted(self) -> None:
        """The same processes as at the start."""
        assert self.consumer.running
        assert self.worker.running
        assert children_of(self.worker.pid) == self._children

    def highest_megabytes(self) -> Mapping[str, int]:
        """The most memory that each process ever had."""
        pids = {"consumer": self.consumer.pid, "worker": self.worker.pid}
        pids |= {f"worker child {number}": pid for number, pid in enumerate(self._children)}
        return {name: _highest_megabytes(pid) for name, pid in pids.items()}

    def lines(self, process: FerryProcess) -> list[str]:
        """What was logged since the start, cut at newlines only; fails if a line holds what acts on a terminal."""
        text = process.log_path.read_bytes()[self._said_at_start[process.name] :].decode()
        lines = text.rpartition("\n")[0].split("\n")
        for line in lines:
            assert not _ACTING.search(line), line
        return lines

    def assert_plain_logs(self, forged: str) -> None:
        """Each line has Ferry's form, and `forged` never stands where a line says when, what and who."""
        for process in (self.consumer, self.worker):
            lines = self.lines(process)
            assert len(lines) > 1
            for line in lines:
                match = _PLAIN_LINE.match(line)
                assert match, f"{process.name}: {line!r}"
                assert not line.startswith(forged)

    def assert_json_logs(self) -> list[dict[str, Any]]:
        """Each line is one JSON object; returns them."""
        return [json.loads(line) for process in (self.consumer, self.worker) for line in self.lines(process)]

    def keys_left(self) -> set[str]:
        """The keys in Redis, once the consumer has had the time to drop what is settled."""
        for _ in range(100):
            if not self.redis.keys("*:inflight"):
                break
            time.sleep(0.1)
        return {key.decode() for key in self.redis.scan_iter("*", count=1_000)}


def _int(text: str | bytes | None) -> int:
    return int(text or -1)


def _highest_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024
