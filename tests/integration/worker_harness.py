"""A ledger and task messages as the consumer makes them, without Kafka, and a worker that runs them."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import redis

from ferry_consumer.task_message import Copy, TaskTemplate, body_of
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.consumer_ledger import Acquired, Dispatch, Dispatched, Invalid, Ownership, Queued
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.worker_ledger import TaskHeader, WorkerLedger
from ferry_shared.record import TopicPartition
from ferry_shared.routes import DEFAULT_QUEUE, Route

GROUP = "ferry"
LEDGER = "test-ledger"
TIMESTAMP_MS = 1_700_000_000_000


@dataclass
class Partition:
    """One partition of one topic: its ledger, and what a consumer does with it."""

    client: redis.Redis
    task: str
    topic: str = "orders"
    queue: str = DEFAULT_QUEUE
    group: str = GROUP
    ledger: str = LEDGER
    position: int = 0
    ownership: Ownership = field(init=False)

    def __post_init__(self) -> None:
        self.place = TopicPartition(self.topic, 0)
        self.keys = LedgerKeys.of("", self.group, self.place)
        self.template = TaskTemplate(Route(self.topic, Any, self.task, self.queue), self.group, self.place, self.ledger)

    def acquire(self) -> None:
        """Create the ledger, or take it over with the next epoch."""
        seen = consumer_ledger.inspect(self.client, self.keys)
        acquired = consumer_ledger.acquire(
            self.client, self.keys, seen, ledger=self.ledger, epoch_floor=0, position=self.position, committed=0,
            cluster_id="cluster", topic_id="topic-id", drop=False, drop_from=None,
        )  # fmt: skip
        assert isinstance(acquired, Acquired)
        self.ownership = acquired.ownership

    def dispatch(self, *payloads: bytes, invalid: Sequence[Invalid] = ()) -> None:
        """Record and queue these payloads as the next offsets."""
        queued = [
            Queued(str(offset), self.message(str(offset), payload))
            for offset, payload in enumerate(payloads, self.position)
        ]
        end = self.position + len(queued) + len(invalid)
        queue_key = self.queue
        dispatch = Dispatch(
            self.place, self.keys, queue_key, self.ownership, self.position, end, end - 1, queued, invalid
        )
        (reply,) = consumer_ledger.dispatch(self.client, [dispatch])
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


def events(path: Path) -> list[str]:
    """Return what the tasks told so far."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def client_of(url: str) -> redis.Redis:
    """Return a client of the test's database."""
    return connect(url)


def plain_message(app: Any, task: str, *arguments: Any) -> bytes:
    """Return a task message without Ferry's header, as Celery builds it."""
    message = app.amqp.as_task_v2("plain-id", task, arguments, {})
    return json.dumps([message.headers, message.body]).encode()
