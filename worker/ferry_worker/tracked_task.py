"""The task class that completes the ledger: claim, run, then done, fail or retry.

What becomes of a message, by how its task ends:

| the task                                      | the ledger                | the message                   |
|-----------------------------------------------|---------------------------|-------------------------------|
| returns; raises Ignore; replaces itself       | done                      | acknowledged                  |
| raises; rejects without requeueing            | failed                    | acknowledged                  |
| `self.retry()`, `autoretry_for`               | due later                 | acknowledged                  |
| rejects with requeueing                       | released, the start counts| back to the queue             |
| takes a payload that doesn't fit              | failed                    | acknowledged                  |
| has an outcome that Redis can't take          | claimed until the lease   | back to the queue             |

Outcomes that never reach this class are recorded by the parent (`request`, `unreached`).
"""

from __future__ import annotations

import logging
import math
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from ferry_shared import logs
from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker.attempt import OWNER_FIELD, Attempt, HandedBack, error_text, handed_back, payload_bytes
from ferry_worker.batch_run import BATCHED_FIELD, with_batches
from ferry_worker.batched import BatchedList, BatchedMessage
from ferry_worker.failed_messages import FailedMessages
from ferry_worker.payload import InvalidPayload, MessageParameter
from ferry_worker.retries import LedgerRetry
from ferry_worker.tracking import Tracking, tracking_of
from ferry_worker.unobserved import RAISED_FIELD

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("ferry.worker")

AnyAttempt = Attempt | BatchedMessage | BatchedList


def accounted(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have a task class's `__call__` happen by the ledger's rules: it comes after the claim, and gets the message.

    That holds for the outermost one of a message with a `ferry` header; what is called within it is left alone.
    """

    @wraps(call)
    def call_accounted(task: Any, *args: Any, **kwargs: Any) -> Any:
        request = task.request
        # Once: a handler of the failure may call the task, too.
        if (raised := vars(request).pop(RAISED_FIELD, None)) is not None:
            raise raised
        # A task that calls itself as a function is inside its own request: that call is plain.
        inside = request.called_directly or request._protected or request.get("ferry_attempt") is not None
        if inside or request.get(HEADER) is None:
            return call(task, *args, **kwargs)
        return task._run_message(request, partial(call, task), args, kwargs)

    return call_accounted


class TrackedTask(Task):
    """A task whose Kafka messages are accounted for; called in any other way it is a plain Celery task.

    A subclass may have a `__call__` of its own, which calls `super().__call__` or `self.run`: it happens after the
    claim and before the outcome is recorded.
    """

    Request = "ferry_worker.request:TrackedRequest"
    Strategy = "ferry_worker.request:strategy"
    #: Its first parameter is a list of messages: those of a batch at once, or one by itself.
    takes_list = False
    _tracer: Any = None

    @property
    def __trace__(self) -> Any:
        """What runs a received message of this task; Celery sets it when a worker starts."""
        return self._tracer

    @__trace__.setter
    def __trace__(self, trace: Any) -> None:
        self._tracer = trace and with_batches(self, trace)

    def __init_subclass__(cls, **options: Any) -> None:
        """Account for calls of a class that has its own way to be called."""
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            cls.__call__ = accounted(vars(cls)["__call__"])  # type: ignore[method-assign]  # for this class alone

    @classmethod
    def bind(cls, app: Any) -> Any:
        """Take what the task doesn't say from the app's configuration; a soft time limit only if it can strike.

        Celery refuses to send a task whose soft limit is above its hard one, also if only the latter is its own.
        """
        takes_limit = cls.soft_time_limit is None
        super().bind(app)
        if takes_limit and (cls.soft_time_limit or 0) > (cls.time_limit or math.inf):
            cls.soft_time_limit = None
        return app

    @cached_property
    def message_parameter(self) -> MessageParameter:
        """The parameter that takes the message. Raises ConfigurationError when its annotation can't be used."""
        return MessageParameter.of(self.run, takes_list=self.takes_list)

    @accounted
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task as Celery does; with a `ferry` header within the same request."""
        request = self.request
        if request.get("ferry_attempt") is None or request._protected:
            return super().__call__(*args, **kwargs)
        request._protected = 1
        return self.run(*args, **kwargs)

    def _run_message(
        self, request: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with logs.TaskContext(request.id):
            # A message of a batch is claimed with it.
            if (batched := request.get(BATCHED_FIELD)) is not None:
                request.ferry_attempt = batched
                return self._run_claimed(batched, call, args, kwargs)
            try:
                request.ferry_attempt = attempt = self.attempt_of(request.get(HEADER), request.get(OWNER_FIELD))
                attempt.claim(self.lease_ms(request.time_limit), _payload(args), restored=self._restored())
                return self._run_claimed(attempt, call, args, kwargs)
            except HandedBack as reason:
                raise Reject(str(reason), requeue=True) from reason

    def run_batched(self, request: Any, payload: Any) -> None:
        """Run a message of a batch within its request, as `__call__` does; shorter where a class has no own way."""
        if type(self).__call__ is not TrackedTask.__call__:
            self(payload)
            return
        request._protected = 1
        with logs.TaskContext(request.id):
            request.ferry_attempt = batched = request.get(BATCHED_FIELD)
            self._run_claimed(batched, self.run, (payload,), {})

    def _tracking(self) -> Tracking:
        return tracking_of(self.app)

    def attempt_of(self, fields: Any, owner: Any) -> Attempt:
        """Read a message's `ferry` header. Raises HandedBack when this worker can't run it."""
        try:
            # Resolved before the claim: a wrong annotation or setting must not turn messages into dead letters.
            _ = self.message_parameter
            tracking = self._tracking()
        except ConfigurationError as error:
            raise handed_back(str(error)) from error
        return Attempt.of(fields, owner, tracking)

    def _run_claimed(
        self, attempt: AnyAttempt, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            result = _reported(attempt, call(*self._arguments(attempt, args), **kwargs))
        except Exception as outcome:
            if isinstance(attempt, BatchedList):
                _record_list(attempt, outcome)
            else:
                _record(attempt, outcome, _payload(args))
            raise
        if not attempt.recorded:
            attempt.done()
        return result

    def _arguments(self, attempt: AnyAttempt, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if not args:
            return args
        if isinstance(attempt, BatchedList):
            return (self._decoded(attempt), *args[1:])
        message = self.message_parameter.decode(args[0], attempt.origin)
        if not self.takes_list:
            return (message, *args[1:])
        self.request.task_ids = [self.request.id]
        return ([message], *args[1:])

    def _decoded(self, batched: BatchedList) -> list[Any]:
        """The messages of a list; those that don't fit fail by themselves. Raises Ignore if less than two are left."""
        messages, fitting = [], []
        for item in batched.items:
            try:
                messages.append(self.message_parameter.decode(item.payload, item.origin))
                fitting.append(item)
            except InvalidPayload as error:
                batched.fail_item(item, error)
                # Without a traceback: pydantic's would quote the message.
                log.error("not run, it becomes a dead letter: %s", error_text(error), extra={"task_id": item.task_id})  # noqa: TRY400
        # One that is left is run as if it had come by itself.
        batched.items = fitting if len(fitting) > 1 else []
        self.request.task_ids = [item.task_id for item in fitting]
        if not batched.items:
            raise Ignore
        return messages

    def lease_ms(self, limit_seconds: float | None) -> int:
        """How long a claim holds under a hard time limit, of the message or else of the task or the worker."""
        settings = self._tracking().settings
        limit = limit_seconds or self.time_limit or settings.worker_task_time_limit_seconds
        return int((limit + settings.worker_lease_margin_seconds) * 1000)

    def _restored(self) -> bool:
        return bool((self.request.delivery_info or {}).get("redelivered"))

    def signature_from_request(
        self, request: Any = None, args: Any = None, kwargs: Any = None, queue: Any = None, **options: Any
    ) -> Any:
        """Return what `retry()` sends: for a tracked message, the record of a retry in the ledger.

        Everything else about `retry()` and `autoretry_for` (counting, delays, exceptions, `throw`) is Celery's own.
        The queue, priority and expiry of a tracked retry stay those of its route.
        """
        request = self.request if request is None else request
        if request.get("ferry_attempt") is None:
            return super().signature_from_request(request, args, kwargs, queue, **options)
        return LedgerRetry.of(self, request, args=args, kwargs=kwargs, options=options)


def _payload(args: tuple[Any, ...]) -> bytes:
    return payload_bytes(args[0] if args else None)


def _record(attempt: Attempt | BatchedMessage, outcome: Exception, payload: bytes) -> None:
    match outcome:
        case HandedBack() | Reject(requeue=True):
            return
        case SoftTimeLimitExceeded() if isinstance(attempt, BatchedMessage):
            # By itself it has the whole of it.
            raise Ignore from outcome
        case Reject(reason=HandedBack() as reason):
            # Celery's retry() puts what its publishing raised into a Reject.
            raise reason
        case _ if attempt.recorded:
            # After retry(throw=False), or retry()'s own exception: the retry is what counts.
            return
        case Retry():
            attempt.fail("Retry: raised without self.retry(), nothing would run it again", payload)
        case Ignore():
            attempt.done()
        case InvalidPayload():
            log.error("not run, it becomes a dead letter: %s", error_text(outcome))
            attempt.fail(error_text(outcome), payload)
        case _:
            attempt.fail(error_text(outcome), payload)


def _record_list(batched: BatchedList, outcome: Exception) -> None:
    """Whom of several an exception concerns isn't known: they are run one by one, and to Celery nothing has failed."""
    match outcome:
        case _ if batched.recorded:
            return
        case Ignore():
            batched.done()
        case _:
            count = len(batched.items)
            log.warning("the call with %d messages failed, each goes on by itself", count, exc_info=outcome)
            raise Ignore from outcome


def _reported(attempt: AnyAttempt, returned: Any) -> Any:
    """What a task returned, unless it reports failures: these are noted, or of a single message raised."""
    if not isinstance(returned, FailedMessages):
        return returned
    count = len(attempt.items) if isinstance(attempt, BatchedList) else 1
    for index in returned.reasons:
        if not isinstance(index, int) or index not in range(count):
            raise ValueError(f"FailedMessages names the message {index!r}: expected 0 to {count - 1}, as in the list")
    if isinstance(attempt, BatchedList):
        attempt.fail_those(returned.reasons)
        for index, reason in returned.reasons.items():
            task_id = attempt.items[index].task_id
            log.error("it becomes a dead letter: %s", error_text(reason), extra={"task_id": task_id})
        return returned
    for reason in returned.reasons.values():
        raise reason
    return None
