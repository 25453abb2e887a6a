"""Routes of a test's own topics to tasks that behave as the test needs it."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.ferry_processes import FerryProcesses

_ROUTES = """\
from ferry_shared.routes import Route
from tests.integration.worker_tasks import Order

routes = [Route(topic=topic, message=Order, task=task) for topic, task in {routes!r}.items()]
"""


def route(ferry: FerryProcesses, tasks: Mapping[str, str]) -> Path:
    """Send each topic's messages (an `Order`) to one of `worker_tasks`; returns the file into which these tell.

    `tests.waiting` ends when a file `release` lies beside that one.
    """
    (ferry.directory / "task_routes.py").write_text(_ROUTES.format(routes=dict(tasks)))
    events = ferry.directory / "events"
    ferry.settings |= {
        "FERRY_ROUTES": "task_routes:routes",
        "FERRY_IMPORTS": "tests.integration.worker_tasks",
        "FERRY_TEST_EVENTS": str(events),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return events
