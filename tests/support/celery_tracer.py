"""What Celery itself runs a received message of a task by."""

from typing import Any

from celery.app.trace import build_tracer

from ferry_worker.unobserved import is_unobserved


def unobserved(task: Any) -> bool:
    """Whether nobody notices that the task ends well, where Celery's own tracer runs it."""
    return is_unobserved(task, build_tracer(task.name, task, app=task.app))
