"""A message of Ferry's for a task that can't run it: told by name, counted, never run."""

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Task
from celery.worker.consumer import Consumer
from kombu.message import Message as KombuMessage

from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.ledger.worker_ledger import Receipt, TaskHeader
from ferry_worker import untracked
from ferry_worker.start_checks import check_when_worker_starts
from ferry_worker.unrunnable import Teller
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


@dataclass
class Counting:
    """What the ledger was told of, and what it answers next."""

    calls: list[tuple[str, str, Obstacle, int, str]] = field(default_factory=list)
    replies: list[Receipt] = field(default_factory=list)

    def untracked(self, header: TaskHeader, task: str, obstacle: Obstacle, *, max_claims: int, error: str) -> Receipt:
        """Note it."""
        self.calls.append((header.member, task, obstacle, max_claims, error))
        return self.replies.pop()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An app that keeps results."""
    bench = Bench(monkeypatch)
    bench.app.conf.update(result_backend="cache+memory://", task_ignore_result=False, broker_url="memory://")
    bench.app.AsyncResult("orders-0-7").forget()  # the backend in memory is the process's
    return bench


@pytest.fixture
def ledger(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Counting:
    """A ledger that counts such receipts."""
    counting = Counting()
    monkeypatch.setattr(bench.ledger, "untracked", counting.untracked, raising=False)
    return counting


@pytest.fixture
def take(bench: Bench) -> Any:
    """The way to take messages of a task that isn't tracked."""
    task = bench.app._task_from_fun(handle, name="plain.order", base=PlainTask)
    consumer: Any = SimpleNamespace(connection_errors=(ConnectionError,))
    return untracked.strategy(task, bench.app, consumer)


@pytest.fixture
def consumer(bench: Bench) -> Any:
    """Celery's own consumer, as a worker has it before it connects."""
    check_when_worker_starts(bench.app, tuple)
    pool = SimpleNamespace(num_processes=1, is_green=False)
    controller = SimpleNamespace(use_eventloop=False)
    return Consumer(lambda _: None, app=bench.app, hostname="test", pool=pool, controller=controller)


def message(**headers: Any) -> Received:
    """A received message."""
    return Received("", headers={"id": "orders-0-7", "task": "plain.order", **headers})  # type: ignore[no-untyped-call]


def test_a_plain_celery_message_is_taken_as_ever(take: Any, ledger: Counting) -> None:
    """By the task's own strategy, with everything that Celery gives."""
    plain = message()
    assert take(plain, "body", "ack") == ("taken", plain, ("body", "ack"))
    assert (ledger.calls, plain.rejected) == ([], None)


def test_a_message_of_ferrys_is_counted_and_dropped(
    bench: Bench, take: Any, ledger: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """It isn't run; the log names the task once, however many messages come, and each dead letter."""
    ledger.replies += [Receipt.FAILED, Receipt.COUNTED, Receipt.COUNTED]
    received = [message(ferry=FIELDS) for _ in range(3)]
    assert [take(one, "body", "ack") for one in received[:2]] == [None] * 2
    assert bench.app.AsyncResult("orders-0-7").state == "PENDING"
    assert take(received[2], "body", "ack") is None
    assert [one.rejected for one in received] == [((ConnectionError,), False)] * 3
    error = "untracked: no worker that received it has 'plain.order' as a tracked task"
    assert ledger.calls == [("7", "plain.order", Obstacle.UNTRACKED, 3, error)] * 3
    told, dead = [record.getMessage() for record in caplog.records]
    assert told == (
        "the task 'plain.order' isn't tracked: messages of the topic orders are not run, and after some more "
        "deliveries dead letters (1 so far); its base class must be ferry_worker.TrackedTask"
    )
    assert dead == f"{error}; it becomes a dead letter"
    assert bench.app.AsyncResult("orders-0-7").state == "FAILURE"


def test_a_batchs_results_are_those_of_its_messages(bench: Bench, take: Any, ledger: Counting) -> None:
    """As if each had come by itself."""
    ledger.replies += [Receipt.FAILED]
    batch = FIELDS | {"v": 2, "member": "7-9-2", "offsets": [7, 9], "timestamps_ms": [None, None]}
    take(message(ferry=batch, id="orders-0-7..9"), "body", "ack")
    states = [bench.app.AsyncResult(f"orders-0-{stands_for}").state for stands_for in ("7", "9", "7..9")]
    assert states == ["FAILURE", "FAILURE", "PENDING"]


@pytest.mark.parametrize("fields", [{"v": 2}, "nonsense", {}])
def test_a_header_that_can_not_be_read_is_not_run_either(take: Any, ledger: Counting, fields: Any) -> None:
    """The consumer queues it again."""
    received = message(ferry=fields)
    assert take(received) is None
    assert (ledger.calls, received.rejected) == ([], ((ConnectionError,), False))


def test_a_task_that_the_app_does_not_know_is_told_once(
    bench: Bench, consumer: Any, ledger: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """With its topic and what to do, instead of a page of Celery's about each message, with that message's text."""
    ledger.replies += [Receipt.FAILED, Receipt.COUNTED, Receipt.COUNTED]
    received = [message(task="nobody.knows", ferry=FIELDS) for _ in range(3)]
    assert "Listening" in {type(step).__name__ for step in consumer.steps}
    handler = consumer.create_task_handler()
    for one in received:
        handler(one)
    assert [one.rejected for one in received] == [(consumer.connection_errors, False)] * 3
    error = "NotRegistered: no worker that received it knows the task 'nobody.knows'"
    assert ledger.calls == [("7", "nobody.knows", Obstacle.UNKNOWN, 3, error)] * 3
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the task 'nobody.knows' isn't known to this worker: messages of the topic orders are not run, and after some "
        "more deliveries dead letters (1 so far); name its module in FERRY_IMPORTS, or in the imports of your own app",
        f"{error}; it becomes a dead letter",
    ]
    result = bench.app.AsyncResult("orders-0-7")
    assert (result.state, type(result.result).__name__) == ("FAILURE", "NotRegistered")


def test_an_unknown_task_of_somebody_else_is_celerys_affair(
    consumer: Any, ledger: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells of it and drops it, as ever."""
    plain = message(task="nobody.knows")
    consumer.event_dispatcher = None
    consumer.create_task_handler()(plain)
    assert (ledger.calls, plain.rejected) == ([], (consumer.connection_errors, False))
    assert "Received unregistered task of type 'nobody.knows'" in caplog.text


def test_a_backend_that_fails_stops_nothing(
    bench: Bench, take: Any, ledger: Counting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger has the failure; that the result has not is told."""

    def refuse(*_: Any) -> None:
        raise OSError("no backend")

    monkeypatch.setattr(bench.app.backend, "mark_as_failure", refuse)
    ledger.replies.append(Receipt.FAILED)
    received = message(ferry=FIELDS)
    take(received)
    assert received.rejected is not None
    assert "could not be stored as its result" in caplog.text


def test_results_that_are_ignored_stay_so(bench: Bench, take: Any, ledger: Counting) -> None:
    """As Celery has it for its own failures."""
    bench.app.conf.task_ignore_result = True
    ledger.replies.append(Receipt.FAILED)
    take(message(ferry=FIELDS))
    assert bench.app.AsyncResult("orders-0-7").state == "PENDING"


def test_it_is_told_again_after_a_minute(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With the number so far."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    teller = Teller("plain.order", Obstacle.UNTRACKED)
    for seconds in (0.0, 1.0, 59.9, 60.0, 119.9):
        now[0] = seconds
        teller.tell("orders")
    assert [record.args[3] for record in caplog.records if isinstance(record.args, tuple)] == [1, 4]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
