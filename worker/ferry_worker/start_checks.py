"""What must be true before a worker takes its first message; each refusal is one sentence and exit code 2."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.utils.imports import symbol_by_name
from kombu.serialization import prepare_accept_content

from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.keys import PRIORITY_SEPARATOR, PRIORITY_STEPS
from ferry_worker import standstill  # noqa: F401 - connects its signals
from ferry_worker.configuration import exit_for, worker_settings
from ferry_worker.request import TrackedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ferry_shared.routes import Route
    from ferry_shared.settings import WorkerSettings

log = logging.getLogger("ferry.worker")

MESSAGE_CONTENT_TYPE = "application/json"
#: Named, not imported: it is needed when a worker takes its first message.
_UNTRACKED_STRATEGY = "ferry_worker.untracked:strategy"
_CONSUMER_STEPS = (
    "ferry_worker.unknown:UnknownTasks",
    "ferry_worker.listening:Listening",
    "ferry_worker.standstill:CancelledTimers",
)


def check_when_worker_starts(app: Any, routes: Callable[[], Sequence[Route]]) -> None:
    """Have a worker of `app` checked at its start; `routes` returns the routes whose tasks it should know.

    It then runs no message of Ferry's by a task that isn't tracked, tells of those for tasks that it doesn't know, and
    says which queues it takes from. It also forgets timers that were cancelled.
    """

    def refuse(sender: Any, **_: Any) -> None:
        if sender.app is not app:
            return
        try:
            check(app, worker_settings(), routes())
        except ConfigurationError as error:
            exit_for(error)
        for task in app.tasks.values():
            if not _is_tracked(task):
                task.Strategy = _UNTRACKED_STRATEGY

    def warn(instance: Any, **_: Any) -> None:
        if instance.app is app:
            for warning in warnings(app, instance, routes()):
                log.warning(warning)

    app.steps["consumer"].update(_CONSUMER_STEPS)
    signals.worker_init.connect(refuse, weak=False)
    signals.celeryd_after_setup.connect(warn, weak=False)


def check(app: Any, settings: WorkerSettings, routes: Sequence[Route]) -> None:
    """Check limits, timeouts, what the consumer must have in common, and the tasks of the routes that it knows.

    Raises:
        ConfigurationError: naming what is wrong.
    """
    for task in filter(_is_tracked, app.tasks.values()):
        _check_limit(task, settings)
        if task.takes_list:
            # Raises where it has no list to take.
            _ = task.message_parameter
    _check_visibility(app, settings)
    _check_way_from_the_consumer(app, settings)
    for route in routes:
        if (task := app.tasks.get(route.task)) is not None:
            _check_route(route, task)
            _check_route_limit(route, settings)
        if route.priority:
            _check_priorities(route, app)


def warnings(app: Any, worker: Any, routes: Sequence[Route]) -> Iterable[str]:
    """Tell what is probably not meant."""
    if "prefork" not in str(worker.pool_cls):
        yield "this pool can't enforce hard time limits: a task that runs longer than its lease is started again"
    yield from unknown_tasks(app, set(app.amqp.queues.consume_from), routes)


def unknown_tasks(app: Any, consumed: Collection[str], routes: Sequence[Route]) -> Iterable[str]:
    """Tell of routes whose task is missing in an app that takes from their queue."""
    for route in routes:
        if route.queue in consumed and route.task not in app.tasks:
            yield (
                f"this worker takes from the queue {route.queue} and doesn't know the task {route.task} of topic "
                f"{route.topic}: is its module missing in FERRY_IMPORTS, or in the imports of your own app?"
            )


def _is_tracked(task: Any) -> bool:
    return hasattr(type(task), "message_parameter")


def _check_route(route: Route, task: Any) -> None:
    if not _is_tracked(task):
        raise ConfigurationError(
            f"the task {route.task!r} of topic {route.topic} would never complete the ledger: "
            "its base class must be ferry_worker.TrackedTask"
        )
    if not issubclass(symbol_by_name(task.Request), TrackedRequest):
        raise ConfigurationError(
            f"the task {route.task!r} of topic {route.topic} has a Request of its own, and the ledger would not hear "
            "of its time limits: that class must be based on ferry_worker.request.TrackedRequest"
        )
    # Raises where the annotation can't be used, and spares the first message the time to resolve it.
    _ = task.message_parameter


def _check_route_limit(route: Route, settings: WorkerSettings) -> None:
    limit = settings.worker_task_time_limit_seconds
    for name in ("time_limit_seconds", "soft_time_limit_seconds"):
        if (getattr(route, name) or 0) > limit:
            raise ConfigurationError(
                f"{name} of the route for {route.topic} is {getattr(route, name):g}: expected at most "
                f"WORKER_TASK_TIME_LIMIT_SECONDS ({limit}), from which the visibility timeout is derived"
            )


def _check_priorities(route: Route, app: Any) -> None:
    options = app.conf.broker_transport_options or {}
    steps, separator = options.get("priority_steps", PRIORITY_STEPS), options.get("sep", PRIORITY_SEPARATOR)
    if tuple(steps) != PRIORITY_STEPS or separator != PRIORITY_SEPARATOR:
        raise ConfigurationError(
            f"the route for {route.topic} has a priority: broker_transport_options must leave priority_steps and sep "
            "as they are, or the messages lie where nobody looks"
        )


def _check_limit(task: Any, settings: WorkerSettings) -> None:
    limit = settings.worker_task_time_limit_seconds
    if task.time_limit is None:
        raise ConfigurationError(f"the task {task.name!r} has no hard time limit: its claim could never end")
    if task.time_limit > limit:
        raise ConfigurationError(
            f"the task {task.name!r} has a hard time limit of {task.time_limit} s: expected at most "
            f"WORKER_TASK_TIME_LIMIT_SECONDS ({limit}), from which the visibility timeout is derived"
        )


def _check_way_from_the_consumer(app: Any, settings: WorkerSettings) -> None:
    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix") or ""
    if prefix != settings.ferry_key_prefix:
        raise ConfigurationError(
            f"global_keyprefix in broker_transport_options is {prefix!r}, and FERRY_KEY_PREFIX is "
            f"{settings.ferry_key_prefix!r}: this worker would look for the consumer's messages elsewhere"
        )
    if MESSAGE_CONTENT_TYPE not in prepare_accept_content(app.conf.accept_content):
        raise ConfigurationError("accept_content: expected json among them, as the consumer's messages are")


def _check_visibility(app: Any, settings: WorkerSettings) -> None:
    conf = app.conf
    places = {
        "broker_transport_options": (conf.broker_transport_options or {}).get("visibility_timeout"),
        "result_backend_transport_options": (conf.result_backend_transport_options or {}).get("visibility_timeout"),
        "visibility_timeout": conf.get("visibility_timeout"),
    }
    for place, seconds in places.items():
        if seconds is None or seconds * 1000 <= settings.lease_ms:
            raise ConfigurationError(
                f"visibility_timeout in {place} is {seconds}: expected {settings.visibility_timeout_seconds} s, "
                "longer than a claim can last"
            )
