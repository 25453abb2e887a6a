"""A ledger and task messages as the consumer makes them, without Kafka, and workers that run them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from ferry_shared.ledger import consumer_ledger, dispatches
from ferry_shared.ledger.client import LedgerClient, connect
from ferry_shared.ledger.consumer_ledger import Acquired, Ownership
from ferry_shared.ledger.dispatches import Dispatch, Dispatched, Queued
from ferry_shared.ledger.keys import LedgerKeys, batch_member
from ferry_shared.ledger.worker_ledger import TaskHeader, WorkerLedger
from ferry_shared.record import TopicPartition
from ferry_shared.routes import DEFAULT_QUEUE, Route
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from tests.support.ferry_processes import FerryProcess, FerryProcesses

#: What a worker does at its start for others like it: a second each.
QUICK_START = ("--without-mingle", "--without-gossip", "--without-heartbeat")
GROUP = "ferry"
LEDGER = "test-ledger"
TIMESTAMP_MS = 1_700_000_000_000


@dataclass
class Partition:
    """One partition of one topic: its ledger, and what a consumer does with it; `options` are its route's."""

    client: LedgerClient
    task: str
    topic: str = "orders"
    queue: str = DEFAULT_QUEUE
    group: str = GROUP
    ledger: str = LEDGER
    position: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    ownership: Ownership = field(init=False)

    def __post_init__(self) -> None:
        self.place = TopicPartition(self.topic, 0)
        self.keys = LedgerKeys.of("", self.group, self.place)
        route = Route(self.topic, Any, self.task, self.queue, **self.options)
        self.template = TaskTemplate(route, self.group, self.place, self.ledger)

    def acquire(self) -> None:
        """Create the ledger, or take it over with the next epoch."""
        seen = consumer_ledger.inspect(self.client, self.keys)
        acquired = consumer_ledger.acquire(
            self.client, self.keys, seen, ledger=self.ledger, epoch_floor=0, position=self.position, committed=0,
            cluster_id="cluster", topic_id="topic-id", drop=False, drop_from=None,
        )  # fmt: skip
        assert isinstance(acquired, Acquired)
        self.ownership = acquired.ownership

    def record(self, *payloads: bytes) -> None:
        """Record these payloads as the next offsets, in flight but in no queue that a worker reads."""
        self._dispatch("parked", payloads)

    def dispatch(self, *payloads: bytes) -> None:
        """Record and queue these payloads as the next offsets."""
        self._dispatch(self.queue, payloads)

    def dispatch_batch(self, *payloads: bytes) -> str:
        """Record and queue these payloads as the next offsets, in one Celery message; returns the entry's member."""
        offsets = list(range(self.position, self.position + len(payloads)))
        member = batch_member(offsets)
        copies = self.template.first_copies(f"{self.ownership.epoch}.1", int(time.time() * 1000))
        message = copies.batch(member, offsets, [TIMESTAMP_MS] * len(payloads), payloads)
        self._send(self.queue, [Queued(member, message, len(payloads))], offsets[-1] + 1)
        return member

    def _dispatch(self, queue_key: str, payloads: Sequence[bytes]) -> None:
        queued = [
            Queued(str(offset), self.message(str(offset), payload))
            for offset, payload in enumerate(payloads, self.position)
        ]
        self._send(queue_key, queued, self.position + len(queued))

    def _send(self, queue_key: str, queued: Sequence[Queued], end: int) -> None:
        dispatch = Dispatch(self.place, self.keys, queue_key, self.ownership, self.position, end, end - 1, queued, ())
        # A test may have started the server again.
        dispatches.make_known(self.client)
        (reply,) = dispatches.send_dispatches(self.client, [dispatch]).replies()
        assert isinstance(reply, Dispatched), reply
        self.position = end

    def message(
        self, member: str, payload: bytes, *, token: str | None = None, copy: int = 1, retries: int = 0
    ) -> bytes:
        """Return the Celery message of an entry."""
        return self.template.fill(
            Copy(member, token or f"{self.ownership.epoch}.1", copy, TIMESTAMP_MS, int(time.time() * 1000), retries),
            body_of(payload),
        )

    def push(self, message: bytes) -> None:
        """Queue a message behind the ledger's back, as a transport does that hands one back."""
        self.client.lpush(self.queue, message)

    def header(self, member: str, token: str | None = None) -> TaskHeader:
        """Return what identifies an entry."""
        token = token or f"{self.ownership.epoch}.1"
        return TaskHeader(self.ledger, self.group, self.topic, 0, member, token, 1, TIMESTAMP_MS, 0)

    @property
    def worker_ledger(self) -> WorkerLedger:
        """The worker's side, for a second worker."""
        return WorkerLedger(self.client, "")

    @property
    def entries(self) -> list[str]:
        """The members in flight."""
        members: Any = self.client.zrange(self.keys.inflight, 0, -1)
        return [member.decode() for member in members]

    def state(self, member: str) -> dict[str, Any]:
        """Return an entry's state; empty while it has none."""
        stored: Any = self.client.hget(self.keys.state, member)
        return orjson.loads(stored) if stored else {}

    def payload(self, member: str) -> bytes:
        """Return what `fail` or `retry` stored."""
        stored: Any = self.client.hget(self.keys.state, f"{member}:payload")
        return stored or b""

    @property
    def left_in_transport(self) -> tuple[int, int]:
        """How many messages are queued, and how many are taken and not acknowledged."""
        queued: Any = self.client.llen(self.queue)
        unacknowledged: Any = self.client.hlen("unacked")
        return queued, unacknowledged


class WorkerBench:
    """One empty database, the workers on it until the bench is left, and what their tasks told."""

    def __init__(self, url: str, directory: Path, **settings: str) -> None:
        self.url = url
        self.client = connect(url)
        self._events = directory / "events"
        self._release = directory / "release"
        self.processes = FerryProcesses(
            directory,
            {
                "CELERY_BROKER_URL": url,
                "FERRY_IMPORTS": "tests.integration.worker_tasks",
                "FERRY_TEST_EVENTS": str(self._events),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **settings,
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop_all()
        self.client.close()

    def worker(self, *arguments: str, **settings: str) -> FerryProcess:
        """Start a worker and wait until it takes messages."""
        worker = self.processes.worker("-c", "2", *QUICK_START, *arguments, **settings)
        worker.wait_for_text("ready\\.", 60.0)
        return worker

    def partition(self, task: str, topic: str = "orders", **fields: Any) -> Partition:
        """Create the ledger of a topic whose messages become `task`."""
        partition = Partition(self.client, task, topic, **fields)
        partition.acquire()
        return partition

    @property
    def events(self) -> list[str]:
        """What the tasks told so far."""
        return self._events.read_text(encoding="utf-8").splitlines() if self._events.exists() else []

    def wait_for_event(self, event: str, times: int = 1) -> None:
        """Wait until a task has told this."""
        wait_until(lambda: self.events.count(event) >= times)

    def release(self) -> None:
        """Let the waiting tasks end."""
        self._release.touch()


def wait_until(condition: Callable[[], object], timeout_seconds: float = 30.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
