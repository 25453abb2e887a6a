"""A Celery app that exists already, made to complete the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task, signals
from celery.utils.imports import symbol_by_name

from ferry_shared.routes import load_routes
from ferry_shared.settings import REDIS_SCHEMES
from ferry_worker import pool_end  # noqa: F401 - connects its signal
from ferry_worker.configuration import tracked_configuration, worker_settings
from ferry_worker.start_checks import check_when_worker_starts
from ferry_worker.tracked_task import TrackedTask
from ferry_worker.tracking import name_ledger
from ferry_worker.transport import register_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.routes import Route


def track(app: Any, ledger_url: str | None = None) -> None:
    """Make the tasks that `app` registers from now on complete Ferry's ledger.

    Call it right after the app is made. The app keeps its task class: what that does around a task happens after the
    claim and before the outcome is recorded. The limits come from the `WORKER_…` settings, read when the app reads its
    configuration; what the app configures itself wins, and is checked when a worker starts. `ledger_url` names the
    ledger's Redis when it isn't the app's broker. Tasks called without a Kafka message stay plain Celery tasks.
    """
    if ledger_url:
        name_ledger(app, ledger_url)
    # Celery makes the app's class once and keeps it there; so does `app.Task = …`.
    made = app.__dict__.pop("Task", None)
    app.task_cls = tracked_class(symbol_by_name(app.task_cls) if made is None else made)
    app.add_defaults(lambda: _missing_configuration(app))
    check_when_worker_starts(app, _named_routes)
    _use_our_transport_when_worker_starts(app)


def tracked_class(own: type[Task]) -> type[TrackedTask]:
    """Return a task class that does what `own` does, and completes the ledger."""
    if issubclass(own, TrackedTask):
        return own
    if issubclass(TrackedTask, own):
        return TrackedTask
    calls_itself = own.__call__ is not Task.__call__
    return type(own.__name__, (own, TrackedTask), {"__call__": own.__call__} if calls_itself else {})


def _missing_configuration(app: Any) -> dict[str, Any]:
    """What the ledger needs and the app doesn't configure; dictionaries of the app's own are added to."""
    needed = tracked_configuration(worker_settings())
    # Celery's `add_defaults` wins over `config_from_object`, so what the app says itself is left out.
    own = {name: app.conf[name] for name in needed if app.conf.value_set_for(name)}
    app.conf.update({name: needed[name] | value for name, value in own.items() if isinstance(value, dict)})
    return {name: value for name, value in needed.items() if name not in own}


def _named_routes() -> Sequence[Route]:
    """The routes, where `FERRY_ROUTES` names them: the built-in one is Ferry's own app's."""
    settings = worker_settings()
    return load_routes(settings) if settings.ferry_routes else ()


def _use_our_transport_when_worker_starts(app: Any) -> None:
    """With kombu's own a restart of Redis ends the worker; an app's other transport or broker is left alone."""

    def use(sender: Any, **_: Any) -> None:
        url = str(app.conf.broker_read_url or app.conf.broker_url or "")
        if sender.app is app and not app.conf.broker_transport and url.partition("://")[0] in REDIS_SCHEMES:
            app.conf.broker_transport = register_transport()

    signals.worker_init.connect(use, weak=False)
