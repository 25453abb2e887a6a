"""Outcomes that never reach the task class, recorded by the worker's parent process.

| what happened                      | the ledger                                     | the message        |
|------------------------------------|------------------------------------------------|--------------------|
| the child was lost                 | released; the start counts                     | requeued by Celery |
| the hard time limit                | failed                                         | acknowledged       |
| revoked, terminated, expired       | failed                                         | acknowledged       |
| body that can't be decoded         | failed                                         | dropped by Celery  |
| task unknown, or not tracked       | a start counts; after the last one failed      | dropped            |

The last row is `unrunnable`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from celery import signals
from celery.exceptions import InvalidTaskError
from redis.exceptions import RedisError

from ferry_shared import logs
from ferry_shared.errors import FerryError
from ferry_shared.ledger.worker_ledger import HEADER, Receipt, Recorded, TaskHeader, Verdict
from ferry_worker.attempt import NOT_RECORDED, payload_bytes
from ferry_worker.batched import task_ids_of
from ferry_worker.tracking import Tracking, tracking_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ferry_shared.ledger.untracked import Obstacle

log = logging.getLogger("ferry.worker")

ResultT = TypeVar("ResultT")

#: Long enough to record an outcome right after.
PARENT_LEASE_MS = 10_000


@dataclass(slots=True)
class Delivery:
    """One receipt of a message in the parent; its calls are short and tried once: what they miss, the lease ends."""

    app: Any
    fields: Any
    owner: str
    args: Any
    failed: bool = False

    @property
    def task_ids(self) -> list[str]:
        """Under which ids results of the message are stored; its header must be readable."""
        return task_ids_of(TaskHeader.of(self.fields))

    def release(self) -> None:
        """Give up the claim, so that the requeued copy can run at once."""
        self._call(lambda tracking, header: tracking.parent_ledger.release(header, self.owner))

    def fail(self, error: str) -> None:
        """Record the failure of a task that this owner has claimed; once, however often Celery tells of it."""
        if not self.failed:
            self.failed = True
            log.error("%s; it becomes a dead letter", error)
            self._call(lambda tracking, header: self._recorded_failure(tracking, header, error))

    def fail_unclaimed(self, error: str) -> bool:
        """Record the failure of a task that may not have been claimed yet; tells whether it was to be run."""
        is_current = self.claim() in {Verdict.RUN, Verdict.POISON}
        if is_current:
            self.fail(error)
        return is_current

    def claim(self) -> Verdict | None:
        """Claim the task; None when the ledger gave no answer."""
        return self._call(
            lambda tracking, header: (
                tracking.parent_ledger.claim(
                    header, self.owner, lease_ms=PARENT_LEASE_MS, max_claims=tracking.settings.worker_max_claims
                ).verdict
            )
        )

    def count_untracked(self, task_name: str, obstacle: Obstacle, error: str) -> Receipt | None:
        """Record that it came to a task that can't run it; None when the ledger gave no answer."""
        return self._call(
            lambda tracking, header: tracking.parent_ledger.untracked(
                header, task_name, obstacle, max_claims=tracking.settings.worker_max_claims, error=error
            )
        )

    def _recorded_failure(self, tracking: Tracking, header: TaskHeader, error: str) -> None:
        reply = tracking.parent_ledger.fail(
            header, self.owner, error, payload_bytes(self.args[0] if self.args else None)
        )
        if reply is not Recorded.RECORDED:
            log.warning("its failure was not recorded: %s", NOT_RECORDED[reply])

    def _call(self, call: Callable[[Tracking, TaskHeader], ResultT]) -> ResultT | None:
        try:
            return call(tracking_of(self.app), TaskHeader.of(self.fields))
        except (FerryError, RedisError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = error
        log.error("the ledger could not be told, the lease will end instead: %s", problem)
        return None


@signals.task_rejected.connect(weak=False)
def _fail_invalid_task(sender: Any, message: Any, exc: BaseException | None, **_: Any) -> None:
    delivery = _delivery(sender, message)
    if delivery is not None:
        task_id = message.headers.get("id", "-")
        with logs.TaskContext(task_id):
            error = InvalidTaskError(str(exc or "no Celery task message"))
            if delivery.fail_unclaimed(f"InvalidTaskError: {error}"):
                store_failure(delivery.app, delivery.task_ids, error)


def store_failure(app: Any, task_ids: Iterable[str], error: Exception) -> None:
    """Store a failure as the result of these, where Celery doesn't and the app keeps results."""
    if app.conf.task_ignore_result and not app.conf.task_store_errors_even_if_ignored:
        return
    try:
        for task_id in task_ids:
            app.backend.mark_as_failure(task_id, error)
    except Exception:
        # Any backend's: the ledger knows of the failure, and the worker goes on.
        log.exception("its failure could not be stored as its result")


def _delivery(consumer: Any, message: Any) -> Delivery | None:
    fields = message.headers.get(HEADER) if isinstance(message.headers, dict) else None
    return None if fields is None else Delivery(consumer.app, fields, "unreached", None)
