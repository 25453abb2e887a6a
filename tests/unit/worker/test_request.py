"""The parent's side: the owner it names, and the outcomes that it records before Celery acknowledges or requeues."""

import json
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.exceptions import InvalidTaskError, Reject
from kombu.exceptions import DecodeError
from kombu.message import Message as KombuMessage

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.worker_ledger import Verdict
from ferry_worker import request as request_module
from ferry_worker.request import TrackedRequest, strategy
from tests.unit.worker.fake_ledger import FIELDS, Bench

PAYLOAD = '{"number": 5}'


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with default settings."""
    return Bench(monkeypatch)


def message(bench: Bench, **headers: Any) -> KombuMessage:
    """Return a received task message with these headers beside Celery's."""
    task_message = bench.app.amqp.as_task_v2("orders-0-7", "tests.task", [PAYLOAD], {})
    return KombuMessage(
        json.dumps(task_message.body),
        content_type="application/json",
        content_encoding="utf-8",
        headers={**task_message.headers, **headers},
        accept={"application/json"},
    )


def received(bench: Bench, **headers: Any) -> TrackedRequest:
    """Return the parent's request; what it does with the message is noted among the ledger's calls."""
    bench.app.conf.task_reject_on_worker_lost = True
    bench.app.conf.task_acks_late = True
    task = bench.task(lambda order: None)

    def acknowledge(*_: Any) -> None:
        bench.ledger.calls.append(("acknowledge",))

    def reject(_logger: Any, _errors: Any, requeue: bool) -> None:
        bench.ledger.calls.append(("requeue" if requeue else "drop",))

    return TrackedRequest(
        message(bench, **headers), on_ack=acknowledge, on_reject=reject, app=bench.app, task=task, hostname="test"
    )


def failure(error: BaseException) -> ExceptionInfo:
    """Return an error as the pool hands it to the parent."""

    def fail() -> None:
        raise error

    try:
        fail()
    except BaseException:  # noqa: BLE001 - any error has to be wrapped, SystemExit too
        return ExceptionInfo()


def test_each_receipt_has_an_owner_of_its_own(bench: Bench) -> None:
    """The child gets a random owner, another one at every receipt."""
    first = received(bench, ferry=FIELDS)
    again = TrackedRequest(message(bench, ferry=FIELDS), app=bench.app, task=first.task)
    owners = {request.request_dict["ferry_owner"] for request in (first, again)}
    assert len(owners) == 2


@pytest.mark.parametrize("fields", [FIELDS, None])
@pytest.mark.parametrize("name", ["ferry_owner", "ferry_batched", "ferry_sent_limits", "ferry_raised"])
def test_what_the_parent_tells_the_child_can_not_be_forged(bench: Bench, fields: Any, name: str) -> None:
    """An owner, or a claim of another message, never reaches the child from a message's headers."""
    headers = {name: "forged"} | ({"ferry": fields} if fields else {})
    assert received(bench, **headers).request_dict.get(name) != "forged"


@pytest.mark.parametrize("error", [WorkerLostError("gone"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_lost_child_is_released_before_its_message_is_requeued(bench: Bench, error: BaseException) -> None:
    """Otherwise the requeued copy would meet the dead claim and wait for its end."""
    received(bench, ferry=FIELDS).on_failure(failure(error))
    assert bench.ledger.names == ["release", "requeue"]


def test_a_message_given_back_is_released_before_it_is_requeued(bench: Bench) -> None:
    """The same holds for a task that rejects its message."""
    received(bench, ferry=FIELDS).on_failure(failure(Reject("later", requeue=True)), return_ok=True)
    assert bench.ledger.names == ["release", "requeue"]


def test_the_hard_limit_is_recorded_once(bench: Bench) -> None:
    """The pool tells of it twice; the first time records it, before the acknowledgement."""
    request = received(bench, ferry=FIELDS)
    request.on_failure(failure(TimeLimitExceeded(300)))
    request.on_timeout(soft=False, timeout=300)
    assert bench.ledger.names == ["fail", "acknowledge"]
    error = "TimeLimitExceeded: it ran longer than its hard limit of 300 s"
    assert bench.ledger.named("fail") == [(error, PAYLOAD.encode())]


def test_the_soft_limit_is_the_childs(bench: Bench) -> None:
    """The parent records nothing: the child gets an exception."""
    received(bench, ferry=FIELDS).on_timeout(soft=True, timeout=270)
    assert bench.ledger.calls == []


def test_a_hard_limit_of_a_cold_shutdown_is_no_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the worker is being ended, what it ends is to run again."""
    monkeypatch.setattr("celery.worker.state.should_terminate", True)
    received(bench, ferry=FIELDS).on_timeout(soft=False, timeout=300)
    assert bench.ledger.names[0] == "release"


def test_a_terminated_task_has_failed(bench: Bench) -> None:
    """`revoke(terminate=True)` ends a task for good."""
    received(bench, ferry=FIELDS).on_failure(failure(Terminated(15)))
    assert bench.ledger.names == ["claim", "fail", "acknowledge"]
    assert bench.ledger.named("fail")[0][0] == "TaskRevokedError: terminated"


def test_a_cancelled_task_is_released(bench: Bench) -> None:
    """What Celery cancels itself, to run again, has not failed."""
    request = received(bench, ferry=FIELDS)
    request._already_cancelled = True
    request.on_failure(failure(Terminated(15)))
    assert bench.ledger.names == ["release"]


def test_a_revoked_task_that_runs_elsewhere_is_left_alone(bench: Bench) -> None:
    """Only a claim allows to record a failure."""
    bench.ledger.verdict = Verdict.BUSY
    received(bench, ferry=FIELDS)._announce_revoked("revoked", False, None, False)
    assert bench.ledger.names == ["claim", "acknowledge"]


def test_memory_error_is_the_childs(bench: Bench) -> None:
    """The child has recorded it; Celery would end the whole worker."""
    received(bench, ferry=FIELDS).on_failure(failure(MemoryError()), return_ok=True)
    assert bench.ledger.names == ["acknowledge"]


def test_without_header_it_is_celerys_request(bench: Bench) -> None:
    """The ledger hears nothing of plain tasks."""
    request = received(bench)
    request.on_failure(failure(WorkerLostError("gone")))
    assert bench.ledger.names == ["requeue"]


def test_a_redis_that_is_away_does_not_stop_the_parent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One short try; Celery goes on, and the lease ends what could not be recorded."""

    def unavailable(*_: Any) -> None:
        raise RedisUnavailable

    monkeypatch.setattr(bench.ledger, "release", unavailable)
    received(bench, ferry=FIELDS).on_failure(failure(WorkerLostError("gone")))
    assert (bench.ledger.names, bench.slept) == (["requeue"], [])


def test_what_can_not_be_decoded_is_an_invalid_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery has a signal for invalid tasks, and drops silently what it can't decode."""

    def undecodable(*_: Any) -> None:
        raise DecodeError("no JSON")

    monkeypatch.setattr(request_module, "default", lambda *_, **__: undecodable)
    with pytest.raises(InvalidTaskError, match="no JSON"):
        strategy(None, None, None)("message")


class FakeConsumer:
    """What Celery's signals name as their sender."""

    def __init__(self, bench: Bench) -> None:
        self.app = bench.app


@pytest.mark.parametrize(
    ("sent", "own", "expected"),
    [
        ([None, None], {}, (300, 270.0)),
        ([10, None], {}, (10, 9.0)),
        ([10, 4], {}, (10, 4)),
        ([None, 4], {}, (300, 4)),
        ([400, 350], {}, (300, 270.0)),
        ([None, None], {"time_limit": 2, "soft_time_limit": 2}, (2, 2)),
        ([None, None], {"time_limit": 20}, (20, None)),
        ([10, None], {"time_limit": 20}, (10, None)),
        ([30, None], {"time_limit": 20, "soft_time_limit": 5}, (30, 5)),
    ],
)
def test_a_messages_limits(bench: Bench, sent: list[Any], own: dict[str, Any], expected: Any) -> None:
    """The route's before the task's before the worker's, and none above that; the soft one never after the hard one."""
    bench.app.conf.update(task_time_limit=300, task_soft_time_limit=270.0)
    task = bench.task(lambda order: None, **own)
    made = TrackedRequest(message(bench, ferry=FIELDS, timelimit=sent), app=bench.app, task=task, hostname="test")
    assert made.time_limits == expected
    assert made.request_dict["timelimit"] == list(expected)
    plain = TrackedRequest(message(bench, timelimit=sent), app=bench.app, task=task, hostname="test")
    assert list(plain.time_limits) == sent


@pytest.mark.parametrize(
    ("verdict", "calls", "stored"),
    [(Verdict.RUN, ["claim", "fail"], ["FAILURE"]), (Verdict.GONE, ["claim"], ["PENDING"])],
)
def test_what_is_no_task_message_has_failed_for_its_result_too(
    bench: Bench, verdict: Verdict, calls: list[str], stored: list[str]
) -> None:
    """Celery drops it without a result; a copy of what has ended by now changes none."""
    bench.app.conf.update(result_backend="cache+memory://", task_ignore_result=False)
    bench.app.AsyncResult("orders-0-7").forget()  # the backend in memory is the process's
    bench.ledger.verdict = verdict
    error = InvalidTaskError("its body can't be decoded")
    signals.task_rejected.send(FakeConsumer(bench), message=message(bench, ferry=FIELDS), exc=error)
    assert bench.ledger.names == calls
    assert [bench.app.AsyncResult("orders-0-7").state] == stored


@pytest.mark.parametrize("headers", [{}, {"ferry": {"v": 2}}])
def test_signals_about_other_messages_are_left_alone(bench: Bench, headers: dict[str, Any]) -> None:
    """A message without a header that can be read is nobody's entry."""
    signals.task_rejected.send(FakeConsumer(bench), message=message(bench, **headers), exc=None)
    assert bench.ledger.calls == []


def test_a_batch_that_is_no_task_message_has_failed_for_the_results_of_its_messages(bench: Bench) -> None:
    """Nobody asks for a batch's."""
    bench.app.conf.update(result_backend="cache+memory://", task_ignore_result=False)
    ids = ("orders-0-17", "orders-0-19", "orders-0-17..19")
    batch = FIELDS | {"v": 2, "member": "17-19-2", "offsets": [17, 19], "timestamps_ms": [None, None]}
    error = InvalidTaskError("its body can't be decoded")
    signals.task_rejected.send(FakeConsumer(bench), message=message(bench, ferry=batch), exc=error)
    assert [bench.app.AsyncResult(task_id).state for task_id in ids] == ["FAILURE", "FAILURE", "PENDING"]


@pytest.mark.parametrize("told", ["once", "twice"])
def test_a_batch_at_its_hard_limit_is_put_back_once(bench: Bench, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """Released before it is requeued, and nothing has failed; the pool tells of it twice."""
    batch = FIELDS | {"v": 2, "member": "7-9-2", "offsets": [7, 9], "timestamps_ms": [None, None]}
    request = received(bench, ferry=batch)
    if told == "twice":
        request.on_failure(failure(TimeLimitExceeded(300)))
    request.on_timeout(soft=False, timeout=300)
    assert bench.ledger.names == ["release", "requeue"]
    assert caplog.text.count("the batch ran longer than its hard limit") == 1


def test_a_batch_at_the_hard_limit_of_a_cold_shutdown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is released like a single message; Celery ends the worker, and its message comes back."""
    monkeypatch.setattr("celery.worker.state.should_terminate", True)
    batch = FIELDS | {"v": 2, "member": "7-9-2", "offsets": [7, 9], "timestamps_ms": [None, None]}
    received(bench, ferry=batch).on_timeout(soft=False, timeout=300)
    assert bench.ledger.names[0] == "release"
    assert bench.ledger.named("fail") == []
