"""A task that isn't tracked and gets a message of Ferry's: told by name, counted, never run."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Task
from kombu.message import Message as KombuMessage

from ferry_shared.ledger.worker_ledger import Receipt, TaskHeader
from ferry_worker import untracked
from ferry_worker.untracked import Teller
from tests.unit.worker.fake_ledger import FIELDS, Bench


class Taken:
    """Stands for a task's own strategy: notes what it is given."""

    def __init__(self, task: Any, app: Any, consumer: Any) -> None:
        self.task = task

    def __call__(self, message: Any, *arguments: Any) -> Any:
        """Note it."""
        return ("taken", message, arguments)


class PlainTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task with a strategy of its own."""

    Strategy = f"{__name__}:Taken"


class Received(KombuMessage):
    """A message that notes what becomes of it."""

    rejected: Any = None

    def reject_log_error(self, _logger: Any, errors: Any, requeue: bool = False) -> None:
        """Note it."""
        self.rejected = (errors, requeue)


def handle(order: str) -> None:
    """What must not be run."""


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The way to take messages of a task that isn't tracked; `.calls` of the ledger, `.reply` is its answer."""
    bench = Bench(monkeypatch)
    calls: list[tuple[str, str, int, str]] = []
    replies: list[Receipt] = []

    def count(header: TaskHeader, task: str, *, max_claims: int, error: str) -> Receipt:
        calls.append((header.member, task, max_claims, error))
        return replies.pop()

    monkeypatch.setattr(bench.ledger, "untracked", count, raising=False)
    task = bench.app._task_from_fun(handle, name="plain.order", base=PlainTask)
    consumer: Any = SimpleNamespace(connection_errors=(ConnectionError,))
    return SimpleNamespace(
        message=untracked.strategy(task, bench.app, consumer), calls=calls, replies=replies, ledger=bench.ledger
    )


def message(**headers: Any) -> Received:
    """A received message."""
    return Received("", headers={"id": "orders-0-7", "task": "plain.order", **headers})  # type: ignore[no-untyped-call]


def test_a_plain_celery_message_is_taken_as_ever(take: Any) -> None:
    """By the task's own strategy, with everything that Celery gives."""
    plain = message()
    assert take.message(plain, "body", "ack") == ("taken", plain, ("body", "ack"))
    assert (take.calls, plain.rejected) == ([], None)


def test_a_message_of_ferrys_is_counted_and_dropped(take: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It isn't run; the log names the task once, however many messages come, and each dead letter."""
    take.replies += [Receipt.FAILED, Receipt.COUNTED, Receipt.COUNTED]
    received = [message(ferry=FIELDS) for _ in range(3)]
    assert [take.message(one, "body", "ack") for one in received] == [None] * 3
    assert [one.rejected for one in received] == [((ConnectionError,), False)] * 3
    error = "untracked: no worker that received it has 'plain.order' as a tracked task"
    assert take.calls == [("7", "plain.order", 3, error)] * 3
    told, dead = [record.getMessage() for record in caplog.records]
    assert "'plain.order' isn't tracked" in told
    assert "becomes a dead letter" in dead


@pytest.mark.parametrize("fields", [{"v": 2}, "nonsense", {}])
def test_a_header_that_can_not_be_read_is_not_run_either(take: Any, fields: Any) -> None:
    """The consumer queues it again."""
    received = message(ferry=fields)
    assert take.message(received) is None
    assert (take.calls, received.rejected) == ([], ((ConnectionError,), False))


def test_it_is_told_again_after_a_minute(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With the number so far."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    teller = Teller("plain.order")
    for seconds in (0.0, 1.0, 59.9, 60.0, 119.9):
        now[0] = seconds
        teller.tell()
    assert [record.args for record in caplog.records] == [("plain.order", 1), ("plain.order", 4)]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
