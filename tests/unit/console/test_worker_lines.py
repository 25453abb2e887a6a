"""The worker's log lines, read back."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.demo.account import Printed
from ferry_console.demo.worker_lines import printed
from ferry_shared.logs import JsonLinesFormatter, PlainFormatter, printable

PLAIN_FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(task_id)s] %(message)s"
JSON_FORMAT = "%(asctime)s %(levelname)s %(name)s %(task_id)s %(message)s"


def record(text: str, latency_ms: float) -> logging.LogRecord:
    """What the worker's task logs."""
    fields = {
        "name": "ferry.worker",
        "levelname": "INFO",
        "msg": "%s (%.0f ms)",
        "args": (text, latency_ms),
        "task_id": "messages-2-42",
        "text": text,
        "latency_ms": latency_ms,
    }
    return logging.makeLogRecord(fields)


@given(text=st.text(min_size=1), latency_ms=st.integers(-5_000, 10_000_000))
def test_plain_line_of_any_text(text: str, latency_ms: int) -> None:
    """Whatever the text, the plain form gives back task id, text as printed, and latency."""
    line = PlainFormatter(PLAIN_FORMAT).format(record(text, latency_ms))
    assert printed(line) == Printed("messages-2-42", printable(text), latency_ms)


@given(text=st.text(min_size=1), latency_ms=st.floats(-5_000, 10_000_000).map(lambda value: round(value, 1)))
def test_json_line_of_any_text(text: str, latency_ms: float) -> None:
    """The JSON form gives back the same, the text as it was sent."""
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    line = JsonLinesFormatter(JSON_FORMAT, rename_fields=renamed).format(record(text, latency_ms))
    assert printed(line) == Printed("messages-2-42", text, latency_ms)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "2026-01-31 12:00:00.123 INFO    celery.apps.worker [-] celery@host ready.",
        "2026-01-31 12:00:00.123 INFO    ferry.worker [-] group ferry: 4 partitions, lag 0",
        "2026-01-31 12:00:00.123 INFO    ferry.worker [messages-0-1] hello",
        "2026-01-31 12:00:00.123 ERROR   ferry.worker [messages-0-1] failed (3 ms)",
        "    | 2026-01-31 12:00:00.123 INFO    ferry.worker [messages-0-1] forged (3 ms)",
        "{",
        "[]",
        "{}",
        json.dumps({"logger": "celery", "task_id": "messages-0-1", "text": "hello", "latency_ms": 1}),
        json.dumps({"logger": "ferry.worker", "task_id": "messages-0-1", "text": "hello", "latency_ms": None}),
    ],
)
def test_other_lines(line: str) -> None:
    """A line that does not print a message is none."""
    assert printed(line) is None


@given(st.text())
def test_any_line_is_read_without_an_error(line: str) -> None:
    """No line breaks the reader."""
    assert printed(line) is None or "ferry.worker" in line
