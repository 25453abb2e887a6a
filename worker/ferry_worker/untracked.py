"""Ferry's messages for a task that isn't tracked: told of by name, counted, and not run.

Such a task claims nothing and records no end, so it would run again at every delivery, with text for an argument.
It isn't failed at once: while a new version is rolled out, the next worker's task may be tracked. The consumer queues
the message again when the transport no longer has it; after the last start that counts it becomes a dead letter.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery.utils.imports import instantiate

from ferry_shared import logs
from ferry_shared.ledger.worker_ledger import HEADER, Receipt
from ferry_worker.unreached import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("ferry.worker")

#: A topic's whole backlog may come to that task; the head counts each message, the log needn't.
TOLD_EVERY_SECONDS = 60.0


@dataclass(slots=True)
class Teller:
    """Tells of one task by name, at most once a minute; in between it counts."""

    task: str
    count: int = 0
    told_at: float | None = None

    def tell(self) -> None:
        """Note one more receipt."""
        self.count += 1
        now = time.monotonic()
        if self.told_at is None or now - self.told_at >= TOLD_EVERY_SECONDS:
            self.told_at = now
            log.error(
                "the task %r isn't tracked: not run, and after some more deliveries a dead letter (%d so far); "
                "its base class must be ferry_worker.TrackedTask",
                self.task,
                self.count,
            )


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """The task's own way to take a message, for those that are not Ferry's."""
    take = instantiate(type(task).Strategy, task, app, consumer, **options)
    teller = Teller(task.name)

    def take_message(message: Any, *arguments: Any) -> Any:
        fields = message.headers.get(HEADER)
        if fields is None:
            return take(message, *arguments)
        with logs.task_context(message.headers.get("id", "-")):
            teller.tell()
            if Delivery(app, fields, "untracked", None).count_untracked(task.name) is Receipt.FAILED:
                log.error("no worker that received it has %r as a tracked task; it becomes a dead letter", task.name)
            message.reject_log_error(log, consumer.connection_errors)
        return None

    return take_message
