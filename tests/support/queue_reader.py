"""Play the worker's part against the queue: take task messages as a worker would, and record their outcome."""

import base64
import json
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

from ferry_shared.ledger.client import connect
from ferry_shared.ledger.worker_ledger import TaskHeader, WorkerLedger


class QueuedTask(NamedTuple):
    """A task message as it lay in the queue."""

    task_id: str
    header: TaskHeader
    payload: str
    retries: int


class QueueReader:
    """Reads one Celery queue in one Redis database; lets go of Redis when nobody has it any more."""

    def __init__(self, url: str, queue: str = "celery") -> None:
        """`url` is the broker's."""
        self.client = connect(url)
        # A socket that the garbage collector closes is a warning, and a warning an error.
        weakref.finalize(self, self.client.close)
        self.ledger = WorkerLedger(self.client, "")
        self._queue = queue

    def take(self) -> QueuedTask | None:
        """The oldest task message, removed; None if the queue is empty."""
        raw = self.client.rpop(self._queue)
        return task_of(raw) if isinstance(raw, bytes) else None

    def take_all(self) -> Iterator[QueuedTask]:
        """Every task message that is there now."""
        while (task := self.take()) is not None:
            yield task

    def peek_ids(self) -> list[str]:
        """The task ids in the queue, oldest first, with repetitions."""
        rows = self.client.lrange(self._queue, 0, -1)
        assert isinstance(rows, list)
        return [json.loads(row)["headers"]["id"] for row in reversed(rows)]

    def finish(self, task: QueuedTask, owner: str = "tests") -> None:
        """Claim a task and record that it ran."""
        assert self.ledger.claim(task.header, owner, lease_ms=60_000, max_claims=3).verdict == "run"
        assert self.ledger.done(task.header, owner) == "recorded"


def task_of(raw: bytes) -> QueuedTask:
    """Decode a task message."""
    message: dict[str, Any] = json.loads(raw)
    headers = message["headers"]
    body = json.loads(base64.b64decode(message["body"]))
    return QueuedTask(headers["id"], TaskHeader.of(headers["ferry"]), body[0][0], headers["retries"])
