"""Which app's tasks are tracked, and how they reach the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from celery import signals

from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import load_routes
from ferry_shared.settings import REDIS_SCHEMES
from ferry_worker import pool_end  # noqa: F401 - connects its signal
from ferry_worker.configuration import tracked_configuration, worker_settings
from ferry_worker.ledger_access import parent_ledger, pool_ledger
from ferry_worker.start_checks import check_when_worker_starts
from ferry_worker.transport import register_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.ledger.worker_ledger import WorkerLedger
    from ferry_shared.routes import Route
    from ferry_shared.settings import WorkerSettings

_ledger_urls: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def track(app: Any, ledger_url: str | None = None) -> None:
    """Make the tasks that `app` registers from now on complete Ferry's ledger.

    Call it right after the app is made. The limits come from the `WORKER_…` settings, read when the app reads its
    configuration; what the app configures itself wins, and is checked when a worker starts. `ledger_url` names the
    ledger's Redis when it isn't the app's broker. Tasks called without a Kafka message stay plain Celery tasks.
    """
    if ledger_url:
        _ledger_urls[app] = ledger_url
    app.task_cls = "ferry_worker.tracked_task:TrackedTask"
    # The class is made once and kept there.
    app.__dict__.pop("Task", None)
    app.add_defaults(lambda: tracked_configuration(worker_settings()))
    check_when_worker_starts(app, _named_routes)
    _use_our_transport_when_worker_starts(app)


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


@dataclass(frozen=True, slots=True)
class Tracking:
    """The settings of an app's tracked tasks, and the Redis of their ledger (a secret: it may hold a password)."""

    settings: WorkerSettings
    ledger_url: str

    @property
    def pool_ledger(self) -> WorkerLedger:
        """The ledger for a pool process."""
        return pool_ledger(self.ledger_url, self.settings.ferry_key_prefix)

    @property
    def parent_ledger(self) -> WorkerLedger:
        """The ledger for the worker's parent process."""
        return parent_ledger(self.ledger_url, self.settings.ferry_key_prefix)


@cache
def tracking_of(app: Any) -> Tracking:
    """Return how an app's tasks reach the ledger.

    Raises:
        ConfigurationError: the settings are wrong, or the broker isn't Redis and nothing names the ledger's.
    """
    settings = worker_settings()
    named = _ledger_urls.get(app) or settings.ferry_ledger_url.get_secret_value()
    url = named or app.conf.broker_url or ""
    if url.partition("://")[0] not in REDIS_SCHEMES:
        raise ConfigurationError("FERRY_LEDGER_URL: expected redis:// or rediss://, since the broker is no Redis")
    return Tracking(settings, url)
