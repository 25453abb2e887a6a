"""A batch in a worker's process: its messages run one after the other, each as if it had come by itself.

| what happens                                    | the batch | the message                             |
|-------------------------------------------------|-----------|-----------------------------------------|
| a message runs well                             | goes on   | covered by the batch's progress         |
| a message fails, retries, rejects with requeue  | goes on   | an entry of its own, recorded with it   |
| half of the soft time limit is over             | ends      | each that has not run is queued alone   |
| it is claimed again: a worker died with it      | ends      | each above its progress is queued alone |
| another worker or an operator has taken it over | ends      | is theirs                               |

Celery's own tracer runs every message, under its own id: signals, results, log lines and chains are those of a single
task. A task that takes a list is run once, with all of them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery.app.trace import trace_ok_t
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from ferry_shared import logs
from ferry_shared.ledger.keys import Token
from ferry_shared.ledger.singles import QueuedSingle
from ferry_shared.ledger.worker_ledger import BATCH_HEADER_VERSION, HEADER, Recorded
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import SOFT_SHARE
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from ferry_worker.attempt import OWNER_FIELD, SENT_LIMITS_FIELD, HandedBack, payload_bytes
from ferry_worker.batched import BatchedList, BatchedMessage
from ferry_worker.list_results import store_results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ferry_shared.ledger.singles import Single
    from ferry_worker.attempt import Attempt

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
    """Return what runs the received messages of a task: Celery's tracer, and for a batch that for each message."""

    def trace_message(uuid: str, args: Any, kwargs: Any, request: dict[str, Any] | None = None) -> Any:
        if request is None or not is_batch(request.get(HEADER)):
            return trace(uuid, args, kwargs, request)
        started = time.monotonic()
        with logs.task_context(uuid):
            try:
                _run_batch(task, trace, request, args[0] if args else None)
            except Ignore:
                pass
            except HandedBack as reason:
                raise Reject(str(reason), requeue=True) from reason
        return trace_ok_t(None, None, time.monotonic() - started, "None")

    return trace_message


def _run_batch(task: Any, trace: Callable[..., Any], request: Mapping[str, Any], payloads: Any) -> None:
    """Claim a batch, and run it; or, claimed before, split what is left of it.

    Raises:
        Ignore: it is not to be run, or somebody else has it now.
        HandedBack: that can't be told now.
    """
    attempt: Attempt = task.attempt_of(request[HEADER], request.get(OWNER_FIELD))
    hard, soft = request["timelimit"]
    restored = bool((request.get("delivery_info") or {}).get("redelivered"))
    claimed = attempt.claim(task.lease_ms(hard), b"", restored=restored)
    headers = attempt.header.singles()
    if not isinstance(payloads, list) or len(payloads) != len(headers):
        attempt.fail(f"not-a-batch: expected the texts of {len(headers)} records", b"")
        raise Ignore
    left = [BatchedMessage(header, payload) for header, payload in zip(headers, payloads, strict=True)]
    if claimed.progress is not None:
        left = [message for message in left if message.offset > claimed.progress]
    run = BatchRun(task, trace, request, attempt, left)
    if claimed.claims > 1:
        log.warning("a worker was lost, or gave up, with this batch in hand: what is left of it is not run together")
        run.let_go()
    else:
        run.run(SHARE_OF_SOFT_LIMIT * (soft or hard * SOFT_SHARE))


@dataclass(slots=True)
class BatchRun:
    """The messages that are still to run, those that have run, and how far the ledger knows of them."""

    task: Any
    trace: Callable[..., Any]
    request: Mapping[str, Any]
    attempt: Attempt
    waiting: list[BatchedMessage]
    ended: list[BatchedMessage] = field(default_factory=list)
    recorded_up_to: int = 0
    recorded_at: float = field(default_factory=time.monotonic)

    def run(self, seconds: float) -> None:
        """Run what is waiting for at most so long, and let go of the batch.

        Raises:
            Ignore: somebody else has it now.
            HandedBack: the ledger gave no answer.
        """
        deadline = time.monotonic() + seconds
        try:
            if self.task.takes_list and len(self.waiting) > 1:
                self._run_list()
            while self.waiting and time.monotonic() < deadline:
                self._run_next()
                self._tell_progress()
        except SoftTimeLimitExceeded:
            # It struck between two tasks, or as one had ended.
            for message in self.ended:
                if not message.recorded:
                    message.put_off()
        self.let_go()

    def let_go(self) -> None:
        """Record what has run; what is still waiting goes on one by one.

        Raises:
            Ignore: somebody else has it now.
            HandedBack: the ledger gave no answer.
        """
        ended = self.ended + [message for message in self.waiting if message.recorded]
        waiting = [message for message in self.waiting if not message.recorded]
        singles = _singles(ended[self.recorded_up_to :])
        if not waiting:
            self.attempt.progress(None, singles)
            return
        log.info("the batch ends: %d of its messages go on one by one", len(waiting))
        delivery = self.request.get("delivery_info") or {}
        queue, priority = delivery.get("routing_key") or "", delivery.get("priority") or 0
        self.attempt.split(queue, priority, [*singles, *self._queued(waiting, queue, priority)])

    def _run_list(self) -> None:
        """Once, with all of them; what that leaves undecided is run one by one."""
        run = BatchedList(self.attempt.header, list(self.waiting))
        payloads = [message.payload for message in self.waiting]
        ended = self._traced(self.request["id"], payloads, run, ignore_result=True)
        store_results(self.task, run.items, ended)

    def _run_next(self) -> None:
        message = self.waiting.pop(0)
        self.ended.append(message)
        if message.recorded:
            # By the list that it was in.
            return
        self._traced(message.task_id, message.payload, message, ignore_result=None)
        if not message.recorded:
            message.put_off()

    def _traced(self, task_id: str, payload: Any, batched: Any, *, ignore_result: bool | None) -> Any:
        ids = {"id": task_id, "root_id": task_id, "correlation_id": task_id}
        request = {**self.request, **ids, BATCHED_FIELD: batched, "ignore_result": ignore_result}
        try:
            return self.trace(task_id, (payload,), {}, request)
        except SoftTimeLimitExceeded:
            raise
        except (Reject, MemoryError) as error:
            # Celery lets these two through; the other messages of the batch have nothing to do with it.
            log.warning("%s: %s", type(error).__name__, error)
        return None

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if now - self.recorded_at < PROGRESS_EVERY_SECONDS or not self.waiting:
            return
        singles = _singles(self.ended[self.recorded_up_to :])
        if self.attempt.progress(self.ended[-1].offset, singles) is not Recorded.RECORDED:
            raise Ignore
        self.recorded_up_to, self.recorded_at = len(self.ended), time.monotonic()

    def _queued(self, waiting: Sequence[BatchedMessage], queue: str, priority: int) -> list[Single]:
        """The Celery messages of those that go on by themselves, as the consumer would have made them."""
        header = self.attempt.header
        hard, soft = self.request[SENT_LIMITS_FIELD]
        route = Route(
            header.topic, None, self.request["task"], queue, priority,
            time_limit_seconds=hard, soft_time_limit_seconds=soft,
        )  # fmt: skip
        template = TaskTemplate(route, header.group, TopicPartition(header.topic, header.partition), header.ledger)
        token, now_ms = str(Token.parse(header.token).next_attempt), self.attempt.now_ms()
        singles: list[Single] = []
        for message in waiting:
            copy = Copy(message.header.member, token, 1, message.header.timestamp_ms, now_ms)
            body = body_of(payload_bytes(message.payload))
            singles.append(QueuedSingle(message.offset, template.fill(copy, body)))
        return singles


def _singles(ended: Sequence[BatchedMessage]) -> list[Single]:
    return [message.single for message in ended if message.single]
