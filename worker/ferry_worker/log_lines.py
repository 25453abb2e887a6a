"""Celery's own log lines about a task, in Ferry's form."""

from __future__ import annotations

import logging

from ferry_worker.payload import InvalidPayload

TRACE_LOGGER = "celery.app.trace"


class TaskLineFilter(logging.Filter):
    """Puts the task's id on Celery's line about its end, and leaves out what Ferry has said already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the lines, with traceback, about a message that goes back to the queue or that doesn't fit the task."""
        # Celery repeats the whole line in it: with LOG_FORMAT=json it would be printed, so it goes.
        data = record.__dict__.pop("data", None)
        if not isinstance(data, dict):
            return True
        record.task_id = data.get("id", "-")
        error = record.exc_info[1] if record.exc_info else None
        return data.get("description") != "rejected" and not isinstance(error, InvalidPayload)


_FILTER = TaskLineFilter()


def name_tasks_in_celery_lines() -> None:
    """Attach the filter; once, however often it is called."""
    logging.getLogger(TRACE_LOGGER).addFilter(_FILTER)
