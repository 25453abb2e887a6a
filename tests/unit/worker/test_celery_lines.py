"""Celery's own log lines in Ferry's form."""

import logging
from typing import Any

import pytest

from ferry_worker.log_lines import AdviceFilter, TaskLineFilter, shape_celery_lines
from ferry_worker.payload import InvalidPayload


def line(message: str = "line", error: Exception | None = None, **fields: Any) -> logging.LogRecord:
    """Return a log record."""
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("celery.app.trace", logging.ERROR, __file__, 1, message, (), exc_info)
    record.__dict__.update(fields)
    return record


def test_celerys_line_gets_the_task_id() -> None:
    """The id moves into its place, and the repetition of the line for JSON goes."""
    record = line(data={"id": "orders-0-7", "description": "raised unexpected"})
    assert TaskLineFilter().filter(record)
    assert (record.__dict__["task_id"], "data" in record.__dict__) == ("orders-0-7", False)


@pytest.mark.parametrize(
    "record",
    [
        line(data={"id": "orders-0-7", "description": "rejected"}),
        line(data={"id": "orders-0-7", "description": "raised unexpected"}, error=InvalidPayload("no")),
    ],
)
def test_what_ferry_has_said_is_not_said_again(record: logging.LogRecord) -> None:
    """A message given back, and one that doesn't fit, have one line of Ferry's."""
    assert not TaskLineFilter().filter(record)


def test_other_lines_pass() -> None:
    """Lines without Celery's data are untouched."""
    assert TaskLineFilter().filter(line())


def test_advice_is_left_out() -> None:
    """Announcements of later defaults are dropped, other warnings aren't."""
    kept = [
        AdviceFilter().filter(line(text)) for text in ("x.py:1: CPendingDeprecationWarning: …", "x.py:1: UserWarning")
    ]
    assert kept == [False, True]


def test_filters_are_attached_once() -> None:
    """Setting up logging again doesn't pile them up."""
    loggers = [logging.getLogger(name) for name in ("celery.app.trace", "py.warnings")]
    before = [list(logger.filters) for logger in loggers]
    try:
        shape_celery_lines()
        shape_celery_lines()
        assert [len(logger.filters) for logger in loggers] == [1, 1]
    finally:
        for logger, filters in zip(loggers, before, strict=True):
            logger.filters[:] = filters
