"""Several messages' way through routes and task as one batch, without servers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery import states
from celery.app.trace import build_tracer
from celery.exceptions import Ignore

from ferry_shared.ledger.keys import Token, batch_member
from ferry_shared.ledger.singles import FailedSingle, RetriedSingle
from ferry_shared.record import DEFAULT_GROUP, TopicPartition
from ferry_shared.stored_retry import StoredRetry
from ferry_shared.task_message import TaskTemplate, body_of
from ferry_worker.attempt import error_text
from ferry_worker.batch_run import BATCHED_FIELD, with_batches
from ferry_worker.batched import BatchedList
from ferry_worker.configuration import worker_settings
from ferry_worker.list_results import results_of
from ferry_worker.request import TrackedRequest
from ferry_worker.testing.outcomes import Done, Failed, Invalid, Outcome, Requeued
from ferry_worker.testing.running import EPOCH, LEDGER, Entry, checked_body, ready_route, received
from ferry_worker.testing.stand_ins import without_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ferry_shared.routes import Route
    from ferry_worker.testing.outcomes import Sent
    from ferry_worker.testing.stand_ins import Trial


def run_messages(
    routes: Iterable[Route],
    topic: str,
    values: Iterable[bytes | str | None],
    *,
    app: Any = None,
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int | None = None,
    group: str = DEFAULT_GROUP,
) -> list[Outcome]:
    """Take records of `topic` through their route's check and their task as one batch; return what became of each.

    `offset` is the first one's, the others follow it. What the check refuses isn't in the batch, and one that is left
    alone comes as a single message, as from the consumer. The arguments, and what is left out, are `run_message`'s;
    but for one: what has not begun when half of the soft time limit is over is `Requeued`.

    Raises:
        ConfigurationError: with these routes consumer or worker would refuse to start, there is none for `topic`, or
            the app doesn't have its task.
    """
    route, app = ready_route(routes, topic, app)
    moment = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    place = TopicPartition(topic, partition)
    checked = [checked_body(route, value, moment) for value in values]
    entries = {
        Entry(app, route, place, number, group, moment): value
        for number, value in enumerate(checked, offset)
        if not isinstance(value, Invalid)
    }
    if len(entries) > 1:
        ended = _run_batch(entries)
    else:
        ended = {entry.offset: entry.run(body_of(value)) for entry, value in entries.items()}
    return [value if isinstance(value, Invalid) else ended[number] for number, value in enumerate(checked, offset)]


def _run_batch(entries: Mapping[Entry, bytes]) -> dict[int, Outcome]:
    """What became of each, by its offset."""
    first = next(iter(entries))
    offsets = [entry.offset for entry in entries]
    template = TaskTemplate(first.route, first.group, first.place, LEDGER)
    copies = template.first_copies(str(Token(EPOCH, 1)), first.timestamp_ms)
    times = [first.timestamp_ms] * len(offsets)
    message = received(copies.batch(batch_member(offsets), offsets, times, list(entries.values())))
    task = first.app.tasks[first.route.task]
    request = TrackedRequest(message, app=first.app, task=task)
    _, _, embedded = message.payload
    with without_servers(first.app, task, worker_settings()) as trial:
        noting = _NotingTracer(build_tracer(task.name, task, app=first.app), trial)
        with_batches(task, noting)(request.id, request.args, request.kwargs, request.request_dict | embedded)
    return {entry.offset: _outcome(entry, trial, noting) for entry in entries}


@dataclass(frozen=True, slots=True)
class _NotingTracer:
    """Around Celery's tracer; by task id, what each message's run returned or raised, and what it sent."""

    trace: Callable[..., Any]
    trial: Trial
    values: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, tuple[Sent, ...]] = field(default_factory=dict)

    def __call__(self, task_id: str, args: Any, kwargs: Any, request: Mapping[str, Any]) -> Any:
        before = len(self.trial.sent)
        ended = self.trace(task_id, args, kwargs, request)
        sent = tuple(self.trial.sent[before:])
        batched = request[BATCHED_FIELD]
        if not isinstance(batched, BatchedList):
            self.values[task_id] = ended.info.retval if ended.info else ended.retval
            self.sent[task_id] = self.sent.get(task_id, ()) + sent
            return ended
        for state, item_id, value in results_of(batched, ended):
            self.values[item_id] = ended.info.retval if state == states.RETRY else value
        self.sent.update({item.task_id: sent for item in batched.items})
        return ended


def _outcome(entry: Entry, trial: Trial, noted: _NotingTracer) -> Outcome:
    told = entry.told(trial) | {"sent": noted.sent.get(entry.task_id, ())}
    value: Any = noted.values.get(entry.task_id)
    match trial.singles.get(entry.offset):
        case None:
            return Done(**told, result=None if isinstance(value, Exception) else value)
        case FailedSingle(error=error):
            return Failed(**told, error=error, exception=value)
        # A retry counts; what was put off is as it came.
        case RetriedSingle(delay_ms=delay_ms, stored=stored) if _retries(stored):
            return entry.retried(told, value, delay_ms, stored)
    if isinstance(value, Ignore) and isinstance(value.__cause__, Exception):
        # What stands for a soft time limit that strikes in a batch.
        value = value.__cause__
    reason = error_text(value) if isinstance(value, Exception) else "half of the soft time limit was over"
    return Requeued(**told, reason=reason)


def _retries(stored: bytes) -> int:
    retry = StoredRetry.parse(stored)
    return retry.retries if retry else 0
