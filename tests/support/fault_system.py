"""Consumer and workers on a Valkey of their own, and the verdict on what a fault did to their messages."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from tests.support import fault_routes
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, end_offsets, produce, read_all
from tests.support.queue_monitor import QueueMonitor
from tests.support.valkey_server import ValkeyServer

ROOT = Path(__file__).parents[2]
#: The shortest that the settings allow: hard limit 2 s, claim 7 s, visibility timeout 12 s.
SHORT_LIMITS = {
    "WORKER_TASK_TIME_LIMIT_SECONDS": "2",
    "WORKER_TASK_SOFT_TIME_LIMIT_SECONDS": "2",
    "WORKER_LEASE_MARGIN_SECONDS": "5",
}
VISIBILITY_TIMEOUT_SECONDS = 12.0


class Origin(NamedTuple):
    """Where a message is in Kafka."""

    partition: int
    offset: int


class FaultSystem:
    """One topic, its consumers and workers, and the server that holds ledger and queue."""

    def __init__(self, ferry: FerryProcesses, topic: str, server: ValkeyServer, partitions: int = 2) -> None:
        self.server = server
        self.topic = topic
        self.group = ferry.settings["CONSUMER_GROUP"]
        self.monitor = QueueMonitor()
        self._ferry = ferry
        self._servers = ferry.settings["KAFKA_BOOTSTRAP_SERVERS"]
        self._partitions = partitions
        self._sent = 0
        self._record, self._hold = ferry.directory / f"{topic}.record", ferry.directory / f"{topic}.hold"
        ferry.settings |= {
            "CELERY_BROKER_URL": server.url,
            "FERRY_ROUTES": "tests.support.fault_routes:routes",
            "FERRY_IMPORTS": "tests.support.fault_tasks",
            fault_routes.TOPIC: topic,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "CONSUMER_MAX_BACKOFF_SECONDS": "1",
            fault_routes.RECORD: str(self._record),
            fault_routes.HOLD: str(self._hold),
            fault_routes.SECONDS: "0.02",
        }
        create_topic(self._servers, topic, partitions)

    # What runs

    def consumer(self, **settings: str) -> FerryProcess:
        """Start a consumer, and wait until it has every partition."""
        consumer = self._ferry.consumer(**settings)
        consumer.wait_for(lambda output: output.count(": from offset") >= self._partitions)
        return consumer

    def worker(self, *arguments: str, **settings: str) -> FerryProcess:
        """Start a worker with two processes and short limits, and wait until it takes messages."""
        quick = ("--concurrency=2", "--without-mingle", "--without-gossip", "--without-heartbeat")
        worker = self._ferry.worker(*quick, *arguments, **(SHORT_LIMITS | settings))
        worker.wait_for_text(r"ready\.", 60.0)
        return worker

    def send(self, count: int, kind: str = "text") -> None:
        """Write `count` messages, each with a text of its own; `kind` says what their tasks do."""
        numbers = range(self._sent, self._sent + count)
        self._sent += count
        values: list[bytes | None] = [json.dumps({"text": f"{kind} {number}"}).encode() for number in numbers]
        for partition in range(self._partitions):
            produce(self._servers, self.topic, values[partition :: self._partitions], partition=partition)

    def hold_tasks(self) -> None:
        """Tasks that start from now on don't end until `let_tasks_end`, or their hard limit."""
        self._hold.touch()

    def let_tasks_end(self) -> None:
        """Let them."""
        self._hold.unlink()

    # What is there

    @property
    def sent(self) -> int:
        """How many messages were written."""
        return self._sent

    @property
    def in_flight(self) -> int:
        """Entries of the ledger now, all partitions together."""
        with self.server.client() as client:
            counts: list[Any] = [client.zcard(keys.inflight) for keys in self.ledger_keys()]
        return sum(counts)

    def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition, as Kafka has it."""
        found = committed_offsets(self._servers, self.group, self.topic)
        return {partition: found.get(partition, 0) for partition in range(self._partitions)}

    def ledger_keys(self) -> list[LedgerKeys]:
        """The keys of each partition's ledger."""
        prefix = self._ferry.settings.get("FERRY_KEY_PREFIX", "")
        return [
            LedgerKeys.of(prefix, self.group, TopicPartition(self.topic, partition))
            for partition in range(self._partitions)
        ]

    def told(self, event: str) -> Counter[str]:
        """How often tasks told `event` (started, retrying, failing, done), by text."""
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        words = [line.partition(" ") for line in lines]
        return Counter(text for word, _, text in words if word == event)

    def wait_until_done(self, count: int, timeout_seconds: float = 60.0) -> None:
        """Wait until so many tasks have ended well."""
        eventually(lambda: self.told("done").total() >= count, expected=True, timeout_seconds=timeout_seconds)

    def wait_until_in_flight(self, count: int, timeout_seconds: float = 30.0) -> None:
        """Wait until at least so many are in flight."""
        eventually(lambda: self.in_flight >= count, expected=True, timeout_seconds=timeout_seconds)

    def wait_until_idle(self, timeout_seconds: float = 60.0) -> None:
        """Wait until everything that was written is committed, and nothing is in flight, queued or reserved."""
        eventually(lambda: self.committed() == end_offsets(self._servers, self.topic), True, timeout_seconds)
        eventually(lambda: self._left_over() == [], True, timeout_seconds)

    # The verdict

    def assert_nothing_lost(self) -> None:
        """Per partition, what has an offset is done or dead; and everything that was sent has an offset."""
        origins = self._origins()
        assert len(origins) == self._sent
        ended = self.told("done")
        done = {origin for text, origin in origins.items() if text in ended}
        missing = set(origins.values()) - done - self._dead()
        assert sorted(missing) == [], "neither done nor dead"

    def assert_each_ran_once(self) -> None:
        """No task was started twice, and none of those that ended well did so twice."""
        assert repeated(self.told("started")) == {}
        assert repeated(self.told("done")) == {}

    def assert_only_ran_again_from(self, committed: Mapping[int, int]) -> None:
        """Only messages at or above these offsets, by partition, were started more than once."""
        origins = self._origins()
        again = {origins[text] for text in repeated(self.told("started"))}
        assert [origin for origin in sorted(again) if origin.offset < committed[origin.partition]] == []

    def assert_each_queued_once(self) -> None:
        """Every message went into the queue exactly once, by MONITOR; kombu put none back."""
        assert self.monitor.queued == Counter(self.task_ids())
        assert self.monitor.restored == Counter()

    def task_ids(self) -> list[str]:
        """The task ids of all that was sent."""
        return [f"{self.topic}-{partition}-{offset}@{self.group}" for partition, offset in self._origins().values()]

    def _origins(self) -> dict[str, Origin]:
        records = read_all(self._servers, self.topic)
        return {json.loads(record.value or b"")["text"]: Origin(record.partition, record.offset) for record in records}

    def _dead(self) -> set[Origin]:
        dead = set()
        for letter in read_all(self._servers, f"{self.topic}.dlq"):
            headers = {name: value for name, value in letter.headers if isinstance(value, bytes)}
            dead.add(Origin(int(headers["x-original-partition"]), int(headers["x-original-offset"])))
        return dead

    def _left_over(self) -> list[str]:
        rest = [name for keys in self.ledger_keys() for name in (keys.inflight, keys.state, keys.times, keys.attention)]
        prefix = self._ferry.settings.get("FERRY_KEY_PREFIX", "")
        with self.server.client() as client:
            return [name for name in (*rest, f"{prefix}celery", f"{prefix}unacked") if client.exists(name)]


def repeated(counts: Counter[str]) -> dict[str, int]:
    """What was counted more than once."""
    return {text: count for text, count in counts.items() if count > 1}
