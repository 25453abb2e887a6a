"""A batch in a worker's process: its messages run one after the other, each as if it had come by itself.

| what happens                                    | the batch | the message                             |
|-------------------------------------------------|-----------|-----------------------------------------|
| a message runs well                             | goes on   | covered by the batch's progress         |
| a message fails, retries, rejects with requeue  | goes on   | an entry of its own, recorded with it   |
| half of the soft time limit is over             | ends      | each that has not run is queued alone   |
| it is claimed again: a worker died with it      | ends      | each above its progress is queued alone |
| another worker or an operator has taken it over | ends      | is theirs                               |

Celery's own tracer runs every message, under its own id: signals, results, log lines and chains are those of a single
task. It is spared those that end well where nobody would notice (`unobserved`). A task that takes a list is run once,
with all of them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery import states
from celery.app.task import Context
from celery.app.trace import TraceInfo, trace_ok_t
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from ferry_shared import logs
from ferry_shared.ledger.keys import Token
from ferry_shared.ledger.singles import QueuedSingle
from ferry_shared.ledger.worker_ledger import BATCH_HEADER_VERSION, HEADER, Recorded
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import SOFT_SHARE
from ferry_shared.task_message import TaskTemplate
from ferry_worker.attempt import OWNER_FIELD, SENT_LIMITS_FIELD, HandedBack, payload_bytes
from ferry_worker.batched import BatchedList, messages_of
from ferry_worker.list_results import store_results
from ferry_worker.tracebacks import forget_when_over
from ferry_worker.unobserved import UnobservedRuns, is_unobserved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferry_shared.ledger.singles import Single
    from ferry_worker.attempt import Attempt
    from ferry_worker.batched import BatchedMessage

    #: Runs one message: its task id, its payload, and the fields in which its request differs from the batch's.
    Run = Callable[[str, Any, Mapping[str, Any]], Any]

log = logging.getLogger("ferry.worker")

#: The request's field with the message or list that is run: its claim is the batch's.
BATCHED_FIELD = "ferry_batched"
#: What of a batch can run twice when its worker is killed.
PROGRESS_EVERY_SECONDS = 0.05
#: After it nothing new is begun: the message that is running then has as much again before the limit strikes.
SHARE_OF_SOFT_LIMIT = 0.5


def is_batch(fields: Any) -> bool:
    """Tell whether a `ferry` header stands for a batch."""
    return isinstance(fields, dict) and fields.get("v") == BATCH_HEADER_VERSION


def with_batches(task: Any, trace: Callable[..., Any]) -> Callable[..., Any]:
    """Return what runs the received messages of a task: Celery's tracer, and for a batch that for each message.

    What a message's run leaves behind in memory is freed; of one without a `ferry` header that is Celery's affair.
    """

    def trace_message(uuid: str, args: Any, kwargs: Any, request: dict[str, Any] | None = None) -> Any:
        fields = None if request is None else request.get(HEADER)
        if request is None or not is_batch(fields):
            ended = trace(uuid, args, kwargs, request)
            if fields is not None:
                forget_when_over(ended)
            return ended
        started = time.monotonic()
        with logs.TaskContext(uuid):
            try:
                _run_batch(task, trace, request, args[0] if args else None, started)
            except Ignore:
                pass
            except (HandedBack, SoftTimeLimitExceeded) as reason:
                # Whoever takes it next splits it.
                return _rejected(Reject(str(reason), requeue=True))
        return trace_ok_t(None, None, time.monotonic() - started, "None")

    return trace_message


def _rejected(reject: Reject) -> Any:
    """What Celery's tracer returns for it: raised out of here, it would end a worker whose pool has no processes."""
    try:
        raise reject
    except Reject:
        ended = trace_ok_t(ExceptionInfo(internal=True), TraceInfo(states.REJECTED, reject), 0.0, None)
    forget_when_over(ended)
    return ended


def _run_batch(task: Any, trace: Callable[..., Any], request: Mapping[str, Any], payloads: Any, started: float) -> None:
    """Claim a batch, and run it; or, claimed before, split what is left of it. Its limits count from `started` on (s).

    Raises:
        Ignore: it is not to be run, or somebody else has it now.
        HandedBack: that can't be told now.
    """
    attempt: Attempt = task.attempt_of(request[HEADER], request.get(OWNER_FIELD))
    hard, soft = request["timelimit"]
    restored = bool((request.get("delivery_info") or {}).get("redelivered"))
    claimed = attempt.claim(task.lease_ms(hard), b"", restored=restored)
    count = len(attempt.header.offsets)
    if not isinstance(payloads, list) or len(payloads) != count:
        attempt.fail(f"not-a-batch: expected the texts of {count} records", b"")
        raise Ignore
    messages = messages_of(attempt.header, payloads)
    messages = [message for message in messages if claimed.leaves(message.offset)]
    run = BatchRun(task, trace, request, attempt, messages)
    if claimed.claims > 1:
        log.warning("a worker was lost, or gave up, with this batch in hand: what is left of it is not run together")
        run.let_go()
    else:
        run.run(started + SHARE_OF_SOFT_LIMIT * (soft or hard * SOFT_SHARE))


@dataclass(slots=True)
class BatchRun:
    """The messages that were left when it was claimed, and how far the ledger knows of them.

    A soft time limit can strike between any two statements: what says how far the run is is one number, `begun`, which
    is raised before its message is run.
    """

    task: Any
    trace: Callable[..., Any]
    request: Mapping[str, Any]
    attempt: Attempt
    messages: list[BatchedMessage]
    begun: int = 0
    told_at: float = field(init=False)
    _headers: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.told_at = time.monotonic()
        # What Celery makes of a message's headers for each request: here once.
        self._headers = Context(self.request).headers or {}

    def run(self, deadline: float) -> None:
        """Run what is left, beginning nothing after `deadline` (s, of the monotonic clock), and let go of the batch.

        Raises:
            Ignore: somebody else has it now.
            HandedBack: the ledger gave no answer.
        """
        try:
            if self.task.takes_list and len(self.messages) > 1:
                self._run_list()
            if is_unobserved(self.task, self.trace):
                with UnobservedRuns(self.task, self.trace, self.request) as unobserved:
                    self._run_each(unobserved.run, deadline)
            else:
                self._run_each(self._run_traced, deadline)
        except SoftTimeLimitExceeded:
            # It struck between two tasks, or as one had ended.
            for message in self.messages[: self.begun]:
                if not message.recorded:
                    message.put_off()
        self.let_go()

    def let_go(self) -> None:
        """Record what has run; what has not goes on one by one.

        Raises:
            HandedBack: the ledger gave no answer.
        """
        waiting = [message for message in self.messages if not message.recorded]
        if not waiting:
            self.attempt.progress(None, _singles(self.messages))
            return
        log.info("the batch ends: %d of its messages go on one by one", len(waiting))
        delivery = self.request.get("delivery_info") or {}
        queue, priority = delivery.get("routing_key") or "", delivery.get("priority") or 0
        self.attempt.split(queue, priority, [*_singles(self.messages), *self._queued(waiting, queue, priority)])

    def _run_list(self) -> None:
        """Once, with all of them; what that leaves undecided is run one by one."""
        batched = BatchedList(list(self.messages))
        payloads = [message.payload for message in self.messages]
        fields = self._fields_of(self.request["id"], batched) | {"ignore_result": True}
        ended = self._ended(self._run_traced, self.request["id"], payloads, fields)
        store_results(self.task, batched, ended)

    def _run_each(self, run: Run, deadline: float) -> None:
        while self.begun < len(self.messages) and time.monotonic() < deadline:
            self._run_next(run)
            self._tell_progress()

    def _run_next(self, run: Run) -> None:
        message = self.messages[self.begun]
        self.begun += 1
        if message.recorded:
            # By the list that it was in.
            return
        self._ended(run, message.task_id, message.payload, self._fields_of(message.task_id, message))
        if not message.recorded:
            message.put_off()

    def _fields_of(self, task_id: str, batched: BatchedMessage | BatchedList) -> dict[str, Any]:
        """In which its request differs from the batch's."""
        return {
            "id": task_id,
            "root_id": task_id,
            "correlation_id": task_id,
            "headers": self._headers.copy(),
            "ignore_result": None,
            BATCHED_FIELD: batched,
        }

    def _run_traced(self, task_id: str, payload: Any, fields: Mapping[str, Any]) -> Any:
        return self.trace(task_id, [payload], {}, {**self.request, **fields})

    def _ended(self, run: Run, task_id: str, payload: Any, fields: Mapping[str, Any]) -> Any:
        """Celery's tracer's answer; None where it had none."""
        try:
            ended = run(task_id, payload, fields)
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            # Such as a result backend's: the other messages of the batch have nothing to do with it.
            log.exception("Celery could not end it", extra={"task_id": task_id})
            return None
        if ended is not None:
            forget_when_over(ended)
        return ended

    def _tell_progress(self) -> None:
        """Raises Ignore when somebody else has the batch now."""
        now = time.monotonic()
        if now - self.told_at < PROGRESS_EVERY_SECONDS or self.begun == len(self.messages):
            return
        ended = self.messages[: self.begun]
        if self.attempt.progress(ended[-1].offset, _singles(ended)) is not Recorded.RECORDED:
            raise Ignore
        self.told_at = time.monotonic()

    def _queued(self, waiting: Sequence[BatchedMessage], queue: str, priority: int) -> list[Single]:
        """The Celery messages of those that go on by themselves, as the consumer would have made them."""
        header = self.attempt.header
        hard, soft = self.request[SENT_LIMITS_FIELD]
        route = Route(
            header.topic, None, self.request["task"], queue, priority,
            time_limit_seconds=hard, soft_time_limit_seconds=soft,
        )  # fmt: skip
        template = TaskTemplate(route, header.group, TopicPartition(header.topic, header.partition), header.ledger)
        copies = template.first_copies(str(Token.parse(header.token).next_attempt), self.attempt.now_ms())
        return [
            QueuedSingle(
                message.offset,
                copies.single(str(message.offset), message.timestamp_ms, payload_bytes(message.payload)),
            )
            for message in waiting
        ]


def _singles(messages: Sequence[BatchedMessage]) -> list[Single]:
    """Those that failed or are to run again, also if that was told before: a Redis that went back in time forgot it."""
    return [message.single for message in messages if message.single]
