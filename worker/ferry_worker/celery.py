"""Ferry's Celery app: `celery -A ferry_worker worker` and `celery -A ferry_worker beat`.

Nothing reads the settings at import; Celery asks for its configuration when a command needs it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from celery import Celery, signals

from ferry_shared import logs
from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import Route, load_routes
from ferry_worker.configuration import celery_configuration, exit_for, missing_import, worker_settings
from ferry_worker.log_lines import shape_celery_lines
from ferry_worker.start_checks import check_when_worker_starts

if TYPE_CHECKING:
    from collections.abc import Sequence

app = Celery("ferry_worker", task_cls="ferry_worker.tracked_task:TrackedTask", set_as_current=True)

_components: set[logs.Component] = set()


@cache
def _routes() -> Sequence[Route]:
    return load_routes(worker_settings())


def _configuration() -> dict[str, Any]:
    try:
        return celery_configuration(worker_settings(), _routes())
    except ConfigurationError as error:
        exit_for(error)


app.add_defaults(_configuration)
check_when_worker_starts(app, _routes)


@signals.celeryd_init.connect
def _this_is_a_worker(**_: Any) -> None:
    _components.add("worker")


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    try:
        logs.configure("worker" if "worker" in _components else "beat", worker_settings())
    except ConfigurationError as error:
        exit_for(error)
    shape_celery_lines()


@signals.import_modules.connect
def _find_user_modules(sender: Any, **_: Any) -> None:
    """Say in one sentence which module of FERRY_IMPORTS is missing; Celery imports them right after."""
    if sender is not app:
        return
    if problem := missing_import(worker_settings()):
        exit_for(problem)
