"""A task that failed, asked for a retry or wasn't run leaves nothing for Python's cycle collector."""

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, Reject
from hypothesis import given
from hypothesis import strategies as st

from ferry_worker import FailedMessages
from ferry_worker.batched import BatchedList, BatchedMessage
from ferry_worker.tracebacks import forget_tracebacks
from tests.unit.worker.fake_ledger import Bench


def _fails(_task: Any) -> None:
    raise ValueError("no")


def _fails_twice(_task: Any) -> None:
    try:
        _fails(_task)
    except ValueError as error:
        raise RuntimeError("then") from error


def _retries(task: Any) -> None:
    task.retry(countdown=1)


def _retries_after_an_error(task: Any) -> None:
    try:
        _fails(task)
    except ValueError as error:
        raise task.retry(exc=error, countdown=1) from error


def _ignores(_task: Any) -> None:
    raise Ignore


def _rejects(_task: Any) -> None:
    raise Reject(ValueError("no"), requeue=False)


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Only what is referenced by nothing is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("end", [_fails, _fails_twice, _retries, _retries_after_an_error, _ignores, _rejects])
def test_what_an_ended_task_held_is_freed(monkeypatch: pytest.MonkeyPatch, end: Callable[[Any], None]) -> None:
    """However a task ends, Celery's copy of its traceback is gone when it is over."""
    bench = Bench(monkeypatch)

    def task(self: Any, order: Any) -> None:
        end(self)

    ended = [bench.run(bench.task(task, bind=True), "5")[0] for _ in range(3)]
    assert "SUCCESS" not in ended
    assert [found for found in gc.get_objects() if type(found) is ExceptionInfo] == []


def _reports(orders: list[int]) -> FailedMessages:
    return FailedMessages({0: _raised()})


def _fails_for_all(orders: list[int]) -> None:
    raise ValueError("no")


def held() -> list[Any]:
    """What the whole process has of them; tests before this one may have left some behind."""
    return [found for found in gc.get_objects() if type(found) in {ExceptionInfo, BatchedList, BatchedMessage}]


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("takes", [_reports, _fails_for_all])
def test_what_a_list_held_is_freed(monkeypatch: pytest.MonkeyPatch, takes: Callable[[list[int]], Any]) -> None:
    """Its messages, whether they don't fit, are reported as failed, or were run with one that is bad."""
    bench = Bench(monkeypatch)

    def task(orders: list[int]) -> Any:
        return takes(orders)

    before = held()
    # pytest keeps log records, and with them the traceback that they show.
    monkeypatch.setattr(logging.getLogger("ferry.worker"), "disabled", True)
    bench.run_batch(bench.task(task, takes_list=True), "5", '"x"', "6")
    assert bench.ledger.names == ["claim", "progress"]
    assert len(held()) == len(before)


@given(st.lists(st.sampled_from(["__cause__", "__context__", "exc"]), max_size=6), st.booleans())
def test_all_linked_exceptions_lose_their_tracebacks(links: list[str], circular: bool) -> None:
    """Whatever links them, also in a circle."""
    errors = [_raised() for _ in range(len(links) + 1)]
    for link, error, other in zip(links, errors, errors[1:], strict=False):
        setattr(error, link, other)
    if circular:
        errors[-1].__cause__ = errors[0]
    forget_tracebacks(errors[0])
    assert [error.__traceback__ for error in errors] == [None] * len(errors)


def test_a_groups_exceptions_lose_theirs() -> None:
    """An exception group is looked into."""
    inner = _raised()
    forget_tracebacks(ExceptionGroup("outer", [inner]))
    assert inner.__traceback__ is None


def _raised() -> ValueError:
    try:
        _fails(None)
    except ValueError as error:
        return error
    raise AssertionError
