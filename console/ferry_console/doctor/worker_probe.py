"""The worker's own start checks, in a process of their own: they import a user's tasks, which can hang, print or exit.

`python -m ferry_console.doctor.worker_probe` prints one line of JSON at its end: a list of severity and sentence.
"""

from __future__ import annotations

import json

from ferry_console.doctor.finding import Severity
from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import load_routes
from ferry_shared.settings import WorkerSettings, load

Told = list[tuple[str, str]]


def told() -> Told:
    """What a worker of Ferry's would say at its start, with the settings that are here."""
    try:
        return _checked()
    except ConfigurationError as error:
        return [(Severity.ERROR, str(error))]


def _checked() -> Told:
    from ferry_worker.celery import app  # noqa: PLC0415 - other services are imported when needed
    from ferry_worker.configuration import missing_import  # noqa: PLC0415 - other services are imported when needed
    from ferry_worker.start_checks import check, unknown_tasks  # noqa: PLC0415 - other services are imported when needed

    settings = load(WorkerSettings)
    if problem := missing_import(settings):
        raise problem
    try:
        app.loader.import_default_modules()
        app.finalize()
    except Exception as error:
        # A user's modules: anything can come out of them.
        raise ConfigurationError(f"FERRY_IMPORTS: can't be imported: {type(error).__name__}: {error}") from error
    routes = load_routes(settings)
    check(app, settings, routes)
    return [(Severity.WARNING, sentence) for sentence in unknown_tasks(app, {each.queue for each in routes}, routes)]


if __name__ == "__main__":
    print(f"\n{json.dumps(told())}")
