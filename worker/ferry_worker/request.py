"""A received task, as the worker's parent process holds it: it names the owner, and records what the child can't."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import InvalidTaskError, Reject, Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request, task_ready
from celery.worker.strategy import default
from kombu.exceptions import DecodeError

from ferry_shared import logs
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_shared.settings import SOFT_SHARE
from ferry_worker.attempt import OWNER_FIELD, SENT_LIMITS_FIELD
from ferry_worker.batch_run import BATCHED_FIELD, is_batch
from ferry_worker.configuration import worker_settings
from ferry_worker.unobserved import RAISED_FIELD
from ferry_worker.unreached import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from billiard.einfo import ExceptionInfo

    from ferry_shared.settings import WorkerSettings

log = logging.getLogger("ferry.worker")


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's own way to take a message, except that one that can't be decoded is an invalid task.

    Celery acknowledges what it can't decode without telling anybody; for an invalid task it sends a signal.
    """
    take = default(task, app, consumer, **options)

    def take_message(*arguments: Any) -> Any:
        try:
            return take(*arguments)
        except DecodeError as error:
            raise InvalidTaskError(f"its body can't be decoded: {error}") from error

    return take_message


def limits_of(sent: Sequence[float | None], task: Any, settings: WorkerSettings) -> tuple[float, float | None]:
    """The hard and the soft limit (None: there is none) of a message that came with those of its route, in seconds.

    The hard one is never above the worker's, from which the visibility timeout is derived. The soft one never comes
    after it: Celery's pool begins to wait for the hard limit at the soft one, and would end the task only there.
    """
    highest = settings.worker_task_time_limit_seconds
    hard = min(sent[0] or task.time_limit or highest, highest)
    soft = sent[1] or task.soft_time_limit
    return hard, hard * SOFT_SHARE if soft is not None and soft > hard else soft


class TrackedRequest(Request):
    """Celery's request; without a `ferry` header it is nothing more."""

    delivery: Delivery | None = None
    time_limits: Sequence[float | None]

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        for ours in (OWNER_FIELD, SENT_LIMITS_FIELD, BATCHED_FIELD, RAISED_FIELD):
            self._request_dict.pop(ours, None)
        fields = self._request_dict.get(HEADER)
        if fields is not None:
            owner = secrets.token_hex(8)
            self._request_dict[OWNER_FIELD] = owner
            self._request_dict[SENT_LIMITS_FIELD] = list(self.time_limits)
            # What the parent enforces, and what the child reckons its claim by.
            self.time_limits = limits_of(self.time_limits, self._task, worker_settings())
            self._request_dict["timelimit"] = list(self.time_limits)
            self.delivery = Delivery(self._app, fields, owner, self._args)

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Record what the child had no chance to, before Celery acknowledges or requeues."""
        if self.delivery is None:
            return super().on_failure(exc_info, send_failed_event, return_ok)
        with logs.TaskContext(self.id):
            error = exc_info.exception
            error = error.exc if isinstance(error, ExceptionWithTraceback) else error
            if isinstance(error, MemoryError):
                # Celery would end the whole worker for a failure that the child has recorded.
                task_ready(self)
                return self.acknowledge()
            if isinstance(error, TimeLimitExceeded) and self._is_put_back(self.delivery):
                return None
            self._record(self.delivery, error)
            return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """At the hard limit the task has failed."""
        with logs.TaskContext(self.id):
            if self.delivery is not None and not soft:
                if self._is_put_back(self.delivery):
                    return
                self._time_is_up(self.delivery, timeout)
            super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        if self.delivery is not None and not state.should_terminate:
            with logs.TaskContext(self.id):
                self.delivery.fail_unclaimed(f"TaskRevokedError: {reason}")
        super()._announce_revoked(reason, terminated, signum, expired)

    def _record(self, delivery: Delivery, error: BaseException) -> None:
        match error:
            case TimeLimitExceeded() as limit:
                self._time_is_up(delivery, limit.args[0] if limit.args else None)
            case WorkerLostError() | SystemExit() | KeyboardInterrupt() | Reject(requeue=True):
                delivery.release()
            case Terminated() if self._already_cancelled:
                delivery.release()

    def _is_put_back(self, delivery: Delivery) -> bool:
        """A batch at its hard limit: whoever takes it next splits it, and each message gets the whole limit."""
        if not is_batch(delivery.fields) or state.should_terminate:
            return False
        task_ready(self)
        if not self.acknowledged:
            log.error("the batch ran longer than its hard limit: what is left of it goes on one by one")
            delivery.release()
            self.reject(requeue=True)
        return True

    def _time_is_up(self, delivery: Delivery, limit_seconds: float | None) -> None:
        if state.should_terminate:
            # A cold shutdown ends tasks in the same way; they are to run again.
            delivery.release()
        else:
            delivery.fail(f"TimeLimitExceeded: it ran longer than its hard limit of {limit_seconds} s")
