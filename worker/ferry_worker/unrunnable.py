"""Ferry's messages for a task that this worker can't run: told of by name, counted, and not run.

It isn't tracked: it would claim nothing and record no end, so it would run again at every delivery, with text for an
argument. Or the app doesn't know it: Celery would log a page about each message, with its text, and call it discarded.

Neither is failed at once: while a new version is rolled out, the next worker may have the task. The consumer queues
the message again when the transport no longer has it; after the last start that counts it becomes a dead letter.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from celery.exceptions import NotRegistered

from ferry_shared import logs
from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.ledger.worker_ledger import Receipt
from ferry_worker.unreached import Delivery, store_failure

log = logging.getLogger("ferry.worker")

#: A topic's whole backlog may come to that task; the head counts each message, the log needn't.
TOLD_EVERY_SECONDS = 60.0

_WORDS = {
    Obstacle.UNTRACKED: ("isn't tracked", "its base class must be ferry_worker.TrackedTask"),
    Obstacle.UNKNOWN: (
        "isn't known to this worker",
        "name its module in FERRY_IMPORTS, or in the imports of your own app",
    ),
}
_ERRORS = {
    Obstacle.UNTRACKED: "untracked: no worker that received it has {!r} as a tracked task",
    Obstacle.UNKNOWN: "NotRegistered: no worker that received it knows the task {!r}",
}


@dataclass(slots=True)
class Teller:
    """Tells of one task by name, at most once a minute; in between it counts."""

    task: str
    obstacle: Obstacle
    count: int = 0
    told_at: float | None = None

    def tell(self, topic: object) -> None:
        """Note one more receipt, of a message of `topic` (None where its header can't be read)."""
        self.count += 1
        now = time.monotonic()
        if self.told_at is None or now - self.told_at >= TOLD_EVERY_SECONDS:
            self.told_at = now
            problem, remedy = _WORDS[self.obstacle]
            log.error(
                "the task %r %s: messages of the topic %s are not run, and after some more deliveries dead letters "
                "(%d so far); %s",
                self.task, problem, topic, self.count, remedy,
            )  # fmt: skip


@dataclass(slots=True)
class Unrunnable:
    """Takes the messages of Ferry's that are for one task which this worker can't run."""

    app: Any
    consumer: Any
    teller: Teller

    def take(self, message: Any, fields: Any) -> None:
        """Count one as a start, and drop it."""
        task, obstacle = self.teller.task, self.teller.obstacle
        task_id = message.headers.get("id", "-")
        with logs.TaskContext(task_id):
            self.teller.tell(fields.get("topic") if isinstance(fields, dict) else None)
            error = _ERRORS[obstacle].format(task)
            delivery = Delivery(self.app, fields, "untracked", None)
            receipt = delivery.count_untracked(task, obstacle, error)
            if receipt is Receipt.FAILED:
                log.error("%s; it becomes a dead letter", error)
                store_failure(self.app, delivery.task_ids, NotRegistered(task))
            message.reject_log_error(log, self.consumer.connection_errors)
