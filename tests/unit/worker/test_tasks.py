"""Ferry's own tasks, and their lines."""

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ferry_shared.errors import RedisUnavailable
from ferry_shared.message import Message
from ferry_worker import tasks
from ferry_worker.schedule import STATUS_QUEUE, STATUS_TASK, beat_schedule

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _logs_at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ferry.worker")


def printed(caplog: pytest.LogCaptureFixture, text: str) -> logging.LogRecord:
    """Print a message of 250 ms ago; returns its only line."""
    run: Callable[[Message], None] = tasks.print_something.run
    sent_at = datetime.now(UTC) - timedelta(milliseconds=250)
    run(Message.model_validate({"text": text, "sent_at": sent_at}))
    (record,) = caplog.records
    return record


def test_a_message_is_one_line_with_its_latency(caplog: pytest.LogCaptureFixture) -> None:
    """Text and latency are in the line, and fields of their own in JSON."""
    record: Any = printed(caplog, "hello")
    assert record.getMessage().startswith("hello (25")
    assert (record.text, record.levelname, 250 <= record.latency_ms < 1_000) == ("hello", "INFO", True)


def test_the_text_can_be_kept_out_of_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LOG_MESSAGE_TEXT=off neither line nor field has it."""
    monkeypatch.setenv("LOG_MESSAGE_TEXT", "off")
    record: Any = printed(caplog, "secret")
    assert "secret" not in record.getMessage() + record.text


def test_status_without_redis_is_a_warning(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is away is no error of the task's."""

    def unavailable(*_: Any) -> None:
        raise RedisUnavailable

    monkeypatch.setattr(tasks, "read_status", unavailable)
    tasks.print_status.run()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_beat_asks_for_what_the_worker_has() -> None:
    """The entry names a task that exists, in its own queue, and expires after one interval."""
    (entry,) = beat_schedule(60.0).values()
    assert entry["task"] == STATUS_TASK == tasks.print_status.name
    assert (entry["schedule"], entry["options"]["expires"], entry["options"]["queue"]) == (60.0, 60.0, STATUS_QUEUE)
