"""One message's way through routes and task, without servers."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
from celery.app.trace import build_tracer
from kombu.message import Message
from kombu.utils import json as kombu_json

from ferry_shared import decode
from ferry_shared.countdown import due_ms_of
from ferry_shared.errors import ConfigurationError, InvalidRecord
from ferry_shared.ledger.keys import Token
from ferry_shared.record import DEFAULT_GROUP, TaskId, TopicPartition
from ferry_shared.routes import checked_routes
from ferry_shared.settings import ConsumerSettings, load
from ferry_shared.stored_retry import StoredRetry
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from ferry_worker.attempt import error_text
from ferry_worker.configuration import worker_settings
from ferry_worker.request import TrackedRequest
from ferry_worker.start_checks import check
from ferry_worker.testing.outcomes import Done, Failed, Invalid, Outcome, Requeued, Retried
from ferry_worker.testing.stand_ins import without_servers
from ferry_worker.tracebacks import forget_when_over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferry_shared.routes import Route
    from ferry_worker.testing.stand_ins import Trial

LEDGER = "testing"
EPOCH = 1


def run_message(
    routes: Iterable[Route],
    topic: str,
    value: bytes | str | None,
    *,
    app: Any = None,
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int | None = None,
    group: str = DEFAULT_GROUP,
) -> Outcome:
    """Take one record of `topic` through its route's check and its task, and return what became of it.

    `app` is the Celery app that has the task, Ferry's own by default; the module with the task must have been
    imported. Partition, offset and group make the task's id; `timestamp_ms` is the record's, in milliseconds since
    1970, the present time by default. Settings are read as in production. Time limits are not applied, a delay by the
    route's `countdown_field` is not waited for; what ends a process (`SystemExit`) is raised.

    Raises:
        ConfigurationError: with these routes consumer or worker would refuse to start, there is none for `topic`, or
            the app doesn't have its task.
    """
    route, app = ready_route(routes, topic, app)
    moment = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
    body = checked_body(route, value, moment)
    if isinstance(body, Invalid):
        return body
    return Entry(app, route, TopicPartition(topic, partition), offset, group, moment).run(body_of(body))


def ready_route(routes: Iterable[Route], topic: str, app: Any) -> tuple[Route, Any]:
    """Return the topic's route and the app that has its task, both checked as at a start.

    Raises:
        ConfigurationError: as `run_message` says.
    """
    route = _route_of(routes, topic)
    app = _own_app() if app is None else app
    check(app, worker_settings(), [route])
    if route.task not in app.tasks:
        raise ConfigurationError(f"the app has no task {route.task!r} for topic {topic}: import the module that has it")
    return route, app


def checked_body(route: Route, value: bytes | str | None, timestamp_ms: int) -> bytes | Invalid:
    """Check a record as the consumer does; returns its value for the task, or why there is no task."""
    record = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    settings = load(ConsumerSettings)
    try:
        found = decode.checked(record, route.adapter, settings.consumer_max_record_bytes)
        if route.countdown_field is not None:
            longest, now_ms = settings.consumer_max_countdown_seconds, time.time_ns() // 1_000_000
            due_ms_of(
                found.message, route.countdown_field, sent_ms=timestamp_ms, now_ms=now_ms, longest_seconds=longest
            )
    except InvalidRecord as error:
        return Invalid(error=str(error))
    return found.value


def received(message: bytes) -> Message:
    """A message that the consumer would queue, as kombu takes it from there."""
    fields = orjson.loads(message)
    return Message(
        body=b64decode(fields["body"]),
        content_type=fields["content-type"],
        content_encoding=fields["content-encoding"],
        headers=fields["headers"],
        properties=fields["properties"],
        delivery_info=fields["properties"]["delivery_info"],
    )


def _route_of(routes: Iterable[Route], topic: str) -> Route:
    found = checked_routes(routes, "routes")
    for route in found:
        if route.topic == topic:
            return route
    known = ", ".join(route.topic for route in found)
    raise ConfigurationError(f"there is no route for topic {topic}, only for {known}")


def _own_app() -> Any:
    from ferry_worker.celery import app  # noqa: PLC0415 - who has an app of their own has no use for Ferry's

    return app


@dataclass(frozen=True, slots=True)
class Entry:
    """A message for which there is a task; it runs once for each attempt."""

    app: Any
    route: Route
    place: TopicPartition
    offset: int
    group: str
    timestamp_ms: int

    @property
    def task_id(self) -> str:
        """Its task's."""
        return TaskId(self.group, *self.place, self.offset, self.offset).text

    def run(self, body: bytes, attempt: int = 1, retries: int = 0) -> Outcome:
        """Run an attempt; `body` is its arguments."""
        task = self.app.tasks[self.route.task]
        template = TaskTemplate(self.route, self.group, self.place, LEDGER)
        token = str(Token(EPOCH, attempt))
        copy = Copy(str(self.offset), token, 1, self.timestamp_ms, self.timestamp_ms, retries)
        message = received(template.fill(copy, body))
        request = TrackedRequest(message, app=self.app, task=task)
        _, _, embedded = message.payload
        with without_servers(self.app, task, worker_settings()) as trial:
            trace = build_tracer(task.name, task, app=self.app)
            ended = trace(request.id, request.args, request.kwargs, request.request_dict | embedded)
        forget_when_over(ended)
        return self._outcome(trial, ended, attempt)

    def told(self, trial: Trial) -> dict[str, Any]:
        """What any outcome tells of it."""
        return {
            "task_id": self.task_id,
            "queue": self.route.queue,
            "message": trial.messages.get(self.task_id),
            "sent": tuple(trial.sent),
        }

    def _outcome(self, trial: Trial, ended: Any, attempt: int) -> Outcome:
        told = self.told(trial)
        raised = ended.info and ended.info.retval
        match trial.ended:
            case ("done",):
                return Done(**told, result=ended.retval if ended.info is None else None)
            case ("fail", error, _):
                return Failed(**told, error=error, exception=raised)
            case ("retry", delay_ms, stored):
                return self.retried(told, raised, delay_ms, stored, attempt)
        return Requeued(**told, reason=error_text(raised))

    def retried(self, told: dict[str, Any], raised: Any, delay_ms: int, stored: bytes, attempt: int = 1) -> Retried:
        """What `attempt` has asked for: `stored` is the StoredRetry of the next one."""
        following = cast("StoredRetry", StoredRetry.parse(stored))
        args, kwargs, _ = kombu_json.loads(following.body.decode())
        return Retried(
            **told,
            countdown_seconds=delay_ms / 1000,
            retries=following.retries,
            args=(json.loads(args[0]), *args[1:]) if args else (),
            kwargs=kwargs,
            exception=getattr(raised, "exc", None),
            next_attempt=lambda: self.run(following.body, attempt + 1, following.retries),
        )
