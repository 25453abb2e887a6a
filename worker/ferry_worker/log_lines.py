"""Celery's own log lines, in Ferry's form."""

from __future__ import annotations

import logging

from ferry_worker.attempt import Poison
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
        return data.get("description") != "rejected" and not isinstance(error, InvalidPayload | Poison)


class AdviceFilter(logging.Filter):
    """Leaves out Celery's advice about settings that Ferry has chosen on purpose: a page at each lost connection."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop announcements of later defaults."""
        return "CPendingDeprecationWarning" not in record.getMessage()


_FILTERS = {TRACE_LOGGER: TaskLineFilter(), "py.warnings": AdviceFilter()}


def shape_celery_lines() -> None:
    """Attach the filters; once, however often it is called."""
    for logger, line_filter in _FILTERS.items():
        logging.getLogger(logger).addFilter(line_filter)
