"""Ferry's settings as Celery's configuration."""

from __future__ import annotations

import socket
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import DEFAULT_QUEUE
from ferry_shared.settings import WorkerSettings, load
from ferry_worker.schedule import STATUS_QUEUE, STATUS_TASK, beat_schedule
from ferry_worker.transport import register_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.routes import Route

EXIT_CONFIGURATION = 2

#: A sweep every 5 s, and a lock of a killed sweeper for 5 s: a dead worker's tasks are back within 10 s of the timeout.
#: kombu's own defaults sweep every 100 s and hold that lock for 300 s.
RESTORE_INTERVAL_SECONDS = 5
RESTORE_LOCK_SECONDS = 5

#: How long a new pool process may take to start; Celery's 4 s kill it on a busy machine.
PROCESS_START_SECONDS = 30.0

#: A Redis whose network is gone without a word is given up within a minute, also while nothing is sent; kombu sets no
#: time limit, and the kernel's own is a quarter of an hour at best. What an operating system doesn't know is left out.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


@cache
def worker_settings() -> WorkerSettings:
    """Return the worker's settings, read at first use.

    Raises:
        ConfigurationError: naming each wrong variable.
    """
    return load(WorkerSettings)


def exit_for(error: ConfigurationError) -> NoReturn:
    """End the command with the error's sentence and exit code 2: Celery would print a traceback and exit with 1."""
    print(error, file=sys.stderr)
    raise SystemExit(EXIT_CONFIGURATION) from None


def celery_configuration(settings: WorkerSettings, routes: Sequence[Route]) -> dict[str, Any]:
    """Return the configuration of Ferry's own worker and beat."""
    return tracked_configuration(settings) | {
        "broker_url": redis_scheme(settings.celery_broker_url.get_secret_value()),
        "broker_transport": register_transport(),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        **_results(settings),
        "imports": ("ferry_worker.tasks", *import_names(settings)),
        "task_queues": queues(routes),
        "task_default_queue": DEFAULT_QUEUE,
        "task_routes": {STATUS_TASK: {"queue": STATUS_QUEUE}},
        "beat_schedule": beat_schedule(settings.worker_status_interval_seconds),
        # Several beats, one schedule; no schedule file, which a container's user may not even write.
        "beat_scheduler": "ferry_worker.shared_schedule:SharedScheduler",
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "result_accept_content": ["json"],
        "worker_prefetch_multiplier": settings.worker_prefetch_multiplier,
        "worker_proc_alive_timeout": PROCESS_START_SECONDS,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
    }


def tracked_configuration(settings: WorkerSettings) -> dict[str, Any]:
    """Return what every app with tracked tasks needs, Ferry's own or another."""
    visibility_timeout = settings.visibility_timeout_seconds
    transport = {"visibility_timeout": visibility_timeout, "global_keyprefix": settings.ferry_key_prefix}
    return {
        # The three places in which Celery looks for it; the shortest one wins.
        "visibility_timeout": visibility_timeout,
        "result_backend_transport_options": transport,
        "broker_transport_options": transport
        | {
            "unacked_restore_interval": RESTORE_INTERVAL_SECONDS,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": RESTORE_LOCK_SECONDS,
            "socket_keepalive": True,
            "socket_keepalive_options": {
                getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)
            },
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_time_limit": settings.worker_task_time_limit_seconds,
        "task_soft_time_limit": settings.soft_time_limit_seconds,
        # A lost connection leaves the leases alone: what runs, ends and is recorded; its restored copy is gone.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


def import_names(settings: WorkerSettings) -> tuple[str, ...]:
    """Return the modules that `FERRY_IMPORTS` names."""
    return tuple(name.strip() for name in settings.ferry_imports.split(",") if name.strip())


def missing_import(settings: WorkerSettings) -> ConfigurationError | None:
    """Say in one sentence which module of `FERRY_IMPORTS` is missing.

    A user's own modules lie in the working directory: it is searched too, also when they are imported afterwards.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    for name in import_names(settings):
        try:
            found = find_spec(name) is not None
        except (ImportError, ValueError):
            found = False
        if not found:
            return ConfigurationError(f"FERRY_IMPORTS: there is no module {name} (searched in {here} and sys.path)")
    return None


def queues(routes: Sequence[Route]) -> dict[str, dict[str, str]]:
    """Return the queues that the worker takes from without `-Q`: the routes', the default one, and beat's."""
    names = dict.fromkeys((DEFAULT_QUEUE, *(route.queue for route in routes), STATUS_QUEUE))
    # An exchange and a routing key of its own each: Celery would give all of them the default queue's.
    return {name: {"exchange": name, "routing_key": name} for name in names}


def redis_scheme(url: str) -> str:
    """Return the URL as kombu knows it: it has no `valkey://`."""
    return url.replace("valkeys://", "rediss://", 1).replace("valkey://", "redis://", 1)


def _results(settings: WorkerSettings) -> dict[str, Any]:
    backend = settings.celery_result_backend.get_secret_value()
    if backend:
        return {"result_backend": redis_scheme(backend)}
    return {"result_backend": None, "task_ignore_result": True, "result_expires": None}
