"""Tasks that take a list: one call for a batch, on a real ledger, and each message's end and result its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from ferry_worker import FailedMessages, TrackedTask, track
from tests.support.batch_bench import BatchBench

#: Celery's own call in its Redis backend.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


class Order(BaseModel):
    """A message."""

    number: int
    deed: str = "return"


Calls = list[tuple[str, list[str], list[int]]]


@pytest.fixture
def calls() -> Calls:
    """Of each call: the request's id, the ids of the messages, and their numbers."""
    return []


@pytest.fixture
def answers() -> list[Callable[[Any, list[Order]], Any]]:
    """What the task does, its last one first; with none it returns the numbers doubled."""
    return []


@pytest.fixture
def bench(redis_url: str, calls: Calls, answers: list[Callable[[Any, list[Order]], Any]]) -> Iterator[BatchBench]:
    """A task that takes a list of orders."""

    def task(self: Any, orders: list[Order], *more: Any, **options: Any) -> Any:
        assert all(isinstance(order, Order) for order in orders)
        calls.append((self.request.id, self.request.task_ids, [order.number for order in orders]))
        answer = answers[-1] if answers else lambda _task, orders: [2 * order.number for order in orders]
        return answer(self, orders)

    with BatchBench(redis_url, task, bind=True, takes_list=True, max_retries=3) as bench:
        yield bench


def ids(*offsets: int) -> list[str]:
    """The ids of these messages."""
    return [f"orders-0-{offset}" for offset in offsets]


def numbers(*values: Any) -> list[dict[str, Any]]:
    """Messages with these numbers."""
    return [{"number": value} for value in values]


def raising(error: Exception) -> Callable[[Any, list[Order]], Any]:
    """A task that fails if order 1 is among its messages."""

    def answer(_task: Any, orders: list[Order]) -> Any:
        if any(order.number == 1 for order in orders):
            raise error
        return "well"

    return answer


def test_a_batch_is_one_call(bench: BatchBench, calls: Calls) -> None:
    """With all messages in order, and their ids; nothing is left."""
    assert bench.run(*numbers(0, 1, 2)) == "SUCCESS"
    assert calls == [("orders-0-0..2", ids(0, 1, 2), [0, 1, 2])]
    assert (bench.partition.entries, bench.partition.left_in_transport) == ([], (0, 0))


def test_a_single_message_is_a_list_of_one(bench: BatchBench, calls: Calls) -> None:
    """Under its own id, with the value that the task returned for its result."""
    bench.partition.dispatch(b'{"number": 5}')
    assert bench.process.run_next() == "SUCCESS"
    assert calls == [("orders-0-0", ids(0), [5])]
    assert (bench.partition.entries, bench.result(0)) == ([], ("SUCCESS", [10]))


def test_a_returned_list_holds_each_messages_result(bench: BatchBench) -> None:
    """Where it is as long as what the task got; under the single ids alone."""
    bench.run(*numbers(0, 1, 2))
    assert [bench.result(offset) for offset in range(3)] == [("SUCCESS", 0), ("SUCCESS", 2), ("SUCCESS", 4)]
    assert len(bench.client.keys("celery-task-meta-*")) == 3


@pytest.mark.parametrize("returned", ["stored", None, [1, 2], {"rows": 3}])
def test_anything_else_is_the_result_of_each(bench: BatchBench, answers: list[Any], returned: Any) -> None:
    """Of all that were in the call."""
    answers.append(lambda *_: returned)
    bench.run(*numbers(0, 1, 2))
    assert [bench.result(offset) for offset in range(3)] == [("SUCCESS", returned)] * 3


def test_results_can_be_left_out(bench: BatchBench) -> None:
    """As for any task."""
    bench.task.ignore_result = True
    bench.run(*numbers(0, "x", 2, 3))
    assert bench.client.keys("celery-task-meta-*") == []


def test_a_task_says_which_messages_failed(
    bench: BatchBench, answers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """These become dead letters, with its reasons, results and a line each; the others are done. It isn't run again."""
    answers.append(lambda *_: FailedMessages({1: "out of stock", 3: LookupError("no such order")}))
    assert bench.run(*numbers(0, 1, 2, 3)) == "SUCCESS"
    assert bench.ends == {"1": "MessageFailed: out of stock", "3": "LookupError: no such order"}
    assert bench.partition.payload("3") == b'{"number":3}'
    assert [bench.result(offset)[0] for offset in range(4)] == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"]
    assert repr(bench.result(3)[1]) == "LookupError('no such order')"
    lines = [
        (record.__dict__["task_id"], record.getMessage()) for record in caplog.records if "task_id" in record.__dict__
    ]
    assert lines == [
        ("orders-0-1", "it becomes a dead letter: MessageFailed: out of stock"),
        ("orders-0-3", "it becomes a dead letter: LookupError: no such order"),
    ]


def test_a_single_message_that_failed(bench: BatchBench, answers: list[Any]) -> None:
    """The same report, of a list of one."""
    answers.append(lambda *_: FailedMessages({0: "out of stock"}))
    bench.partition.dispatch(b'{"number": 5}')
    assert bench.process.run_next() == "FAILURE"
    assert bench.ends == {"0": "MessageFailed: out of stock"}
    assert str(bench.result(0)[1]) == "out of stock"


def test_a_report_without_failures(bench: BatchBench, answers: list[Any]) -> None:
    """All have run."""
    answers.append(lambda *_: FailedMessages({}))
    bench.run(*numbers(0, 1))
    assert (bench.ends, bench.result(0)) == ({}, ("SUCCESS", None))


@pytest.mark.parametrize("wrong", [3, -1, "1", None])
def test_a_report_of_a_message_that_is_not_there(bench: BatchBench, answers: list[Any], wrong: Any) -> None:
    """Nobody knows which one is meant: each is run by itself, and a report that is still wrong is its failure."""
    answers.append(
        lambda _task, orders: FailedMessages({wrong: "out of stock", 0: "out of stock"}) if len(orders) > 1 else 1
    )
    assert bench.run(*numbers(0, 1, 2)) == "SUCCESS"
    assert bench.ends == {}
    reasons: dict[Any, str] = {wrong: "out of stock", "other": "x"}
    answers.append(lambda *_: FailedMessages(reasons))
    bench.run(*numbers(0, 1))
    assert bench.ends == dict.fromkeys(
        ("3", "4"), f"ValueError: FailedMessages names the message {wrong!r}: expected 0 to 0, as in the list"
    )


@pytest.mark.parametrize(
    "error", [LookupError("order 1"), Reject("no use"), MemoryError(), SystemError("order 1")], ids=repr
)
def test_an_exception_isolates_the_bad_message(
    bench: BatchBench, calls: Calls, answers: list[Any], error: Exception
) -> None:
    """Each is run by itself, under its own id; only the bad one becomes a dead letter."""
    answers.append(raising(error))
    assert bench.run(*numbers(0, 1, 2)) == "SUCCESS"
    assert calls == [
        ("orders-0-0..2", ids(0, 1, 2), [0, 1, 2]),
        ("orders-0-0", ids(0), [0]), ("orders-0-1", ids(1), [1]), ("orders-0-2", ids(2), [2]),
    ]  # fmt: skip
    assert list(bench.ends) == ["1"]
    assert bench.ends["1"].startswith(type(error).__name__)
    assert [bench.result(offset)[0] for offset in (0, 2)] == ["SUCCESS", "SUCCESS"]


def test_no_result_speaks_of_a_call_that_failed(bench: BatchBench, answers: list[Any]) -> None:
    """Also where the app keeps errors of tasks whose results it ignores."""
    bench.task.store_errors_even_if_ignored = True
    answers.append(raising(LookupError("order 1")))
    bench.run(*numbers(0, 1))
    assert sorted(bench.client.keys("celery-task-meta-*")) == [
        b"celery-task-meta-orders-0-0", b"celery-task-meta-orders-0-1",
    ]  # fmt: skip


def test_ignore_is_done_for_all(bench: BatchBench, answers: list[Any]) -> None:
    """As of a single message."""
    answers.append(raising(Ignore()))
    bench.run(*numbers(0, 1, 2))
    assert (bench.ends, bench.result(1)) == ({}, ("PENDING", None))


def test_a_requeued_list_is_requeued_one_by_one(bench: BatchBench, answers: list[Any]) -> None:
    """Which one the task could not take isn't known either."""
    answers.append(raising(Reject("later", requeue=True)))
    bench.run(*numbers(0, 1, 2))
    assert bench.ends == {"1": "retry"}


def test_the_soft_limit_lets_each_go_on_alone(
    bench: BatchBench, calls: Calls, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that used up the limit of all of them isn't followed by more in the same time."""
    clock = [0.0]
    monkeypatch.setattr("ferry_worker.batch_run.time.monotonic", lambda: clock[0])

    def strike(_task: Any, orders: list[Order]) -> None:
        clock[0] += 270.0
        raise SoftTimeLimitExceeded

    answers.append(strike)
    bench.run(*numbers(0, 1, 2))
    assert len(calls) == 1
    assert bench.ends == dict.fromkeys("012", "queued")


def test_items_that_do_not_fit_fail_alone(bench: BatchBench, calls: Calls, caplog: pytest.LogCaptureFixture) -> None:
    """The task gets the others; results of all are stored, values never logged."""
    bench.run(*numbers(0, "secret", 2, "secret", 4))
    assert calls == [("orders-0-0..4", ids(0, 2, 4), [0, 2, 4])]
    assert list(bench.ends) == ["1", "3"]
    assert all(error.startswith("InvalidPayload: number: ") for error in bench.ends.values())
    assert bench.partition.payload("1") == b'{"number":"secret"}'
    assert [bench.result(offset) for offset in (0, 2, 4)] == [("SUCCESS", 0), ("SUCCESS", 4), ("SUCCESS", 8)]
    assert [type(bench.result(offset)[1]).__name__ for offset in (1, 3)] == ["InvalidPayload"] * 2
    assert "secret" not in caplog.text


def test_nothing_is_called_without_a_fitting_item(bench: BatchBench, calls: Calls) -> None:
    """All fail, each with its result."""
    bench.run(*numbers("x", "y"))
    assert (calls, list(bench.ends)) == ([], ["0", "1"])
    assert [bench.result(offset)[0] for offset in range(2)] == ["FAILURE", "FAILURE"]


def test_one_fitting_item_is_a_list_of_one(bench: BatchBench, calls: Calls) -> None:
    """Run as if it had come by itself: with its own id, and its own arguments in a retry."""
    bench.run(*numbers("x", 1))
    assert calls == [("orders-0-1", ids(1), [1])]
    assert (list(bench.ends), bench.result(1)) == (["0"], ("SUCCESS", [2]))


def test_a_wrong_item_before_an_exception_fails_once(bench: BatchBench, calls: Calls, answers: list[Any]) -> None:
    """It isn't run again with the others."""
    answers.append(raising(LookupError("order 1")))
    bench.run(*numbers("x", 1, 2))
    assert [call[2] for call in calls] == [[1, 2], [1], [2]]
    assert sorted(bench.ends) == ["0", "1"]
    assert bench.ends["1"] == "LookupError: order 1"


def test_a_list_is_retried_one_by_one(bench: BatchBench, calls: Calls, answers: list[Any]) -> None:
    """Each with its payload as it came, the delay, the count and the keyword arguments that the retry was given."""
    answers.append(lambda task, _orders: task.retry(countdown=60, kwargs={"note": "later"}))
    bench.run(*numbers(0, 1))
    assert (len(calls), bench.ends) == (1, {"0": "retry", "1": "retry"})
    for offset in (0, 1):
        assert bench.next_attempt(offset) == (1, [{"number": offset}], {"note": "later"})
        assert 55_000 < bench.delay_ms(offset) <= 60_000
        assert bench.result(offset)[0] == "RETRY"


def test_a_retry_with_other_messages_is_each_ones_own(bench: BatchBench, calls: Calls, answers: list[Any]) -> None:
    """Which of the changed ones stands for which message isn't said: each is run by itself, and can change."""
    answers.append(
        lambda task, orders: task.retry(args=([Order(number=order.number + 7) for order in orders],), countdown=0)
    )
    bench.run(*numbers(0, 1))
    assert [call[2] for call in calls] == [[0, 1], [0], [1]]
    assert [bench.next_attempt(offset)[1] for offset in (0, 1)] == [
        [{"number": 7, "deed": "return"}], [{"number": 8, "deed": "return"}],
    ]  # fmt: skip


def test_a_retried_message_comes_again_as_a_list_of_one(bench: BatchBench, calls: Calls, answers: list[Any]) -> None:
    """With its retries counted on."""
    answers.append(lambda task, _orders: task.retry(countdown=0))
    bench.run(*numbers(0, 1))
    answers.clear()
    retries, _, _ = bench.next_attempt(1)
    bench.partition.push(bench.partition.message("1", b'{"number": 1}', token="1.2", retries=retries))
    assert bench.process.run_next() == "SUCCESS"
    assert (calls[-1], bench.partition.entries) == (("orders-0-1", ids(1), [1]), ["0"])


def test_a_result_that_is_no_json_is_a_failed_result_of_what_is_done(bench: BatchBench, answers: list[Any]) -> None:
    """Its own; the others have theirs, and none is run again for it."""
    answers.append(lambda _task, orders: [object() if order.number == 1 else "well" for order in orders])
    assert bench.run(*numbers(0, 1, 2)) == "SUCCESS"
    assert bench.ends == {}
    assert [bench.result(offset)[0] for offset in range(3)] == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert type(bench.result(1)[1]).__name__ == "EncodeError"


def test_a_backend_that_is_away_does_not_undo_what_is_done(
    bench: BatchBench, calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Results are lost, and that is told; nothing is run again for them."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no backend")

    monkeypatch.setattr(bench.app.backend, "store_result", refuse)
    assert bench.run(*numbers(0, "x", 2, 3)) == "SUCCESS"
    assert (len(calls), list(bench.ends)) == (1, ["1"])
    assert "no backend" in caplog.text


def test_signals_speak_of_the_call(bench: BatchBench, answers: list[Any]) -> None:
    """It is one: before and after it, under the batch's id."""
    heard: list[str] = []

    def hear(task_id: str, **_: Any) -> None:
        heard.append(task_id)

    answers.append(lambda *_: FailedMessages({0: "out of stock"}))
    signals.task_prerun.connect(hear)
    signals.task_failure.connect(hear)
    try:
        bench.run(*numbers(0, 1))
    finally:
        signals.task_prerun.disconnect(hear)
        signals.task_failure.disconnect(hear)
    assert heard == ["orders-0-0..1"]


def test_after_half_of_the_soft_limit_a_list_that_has_run_is_done(
    bench: BatchBench, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call takes as long as it takes; what it has done is not split off."""
    clock = [0.0]
    monkeypatch.setattr("ferry_worker.batch_run.time.monotonic", lambda: clock[0])

    def work(_task: Any, orders: list[Order]) -> FailedMessages:
        clock[0] += 200.0
        return FailedMessages({1: "out of stock"})

    answers.append(work)
    bench.run(*numbers(0, 1, 2))
    assert bench.ends == {"1": "MessageFailed: out of stock"}


@pytest.mark.parametrize("annotation", [list, list[Any], Any, None])
def test_a_list_of_plain_values(redis_url: str, annotation: Any) -> None:
    """Without a type for them, or for anything: JSON values as they are."""
    got: list[Any] = []

    def task(values: Any) -> None:
        got.append(values)

    if annotation is None:
        task.__annotations__.clear()
    else:
        task.__annotations__["values"] = annotation
    with BatchBench(redis_url, task, takes_list=True) as bench:
        bench.run(1, {"two": 2}, "three")
        assert (got, bench.ends) == ([[1, {"two": 2}, "three"]], {})


def test_an_apps_own_class_is_around_the_call(redis_url: str) -> None:
    """With `track(app)`, and a class that calls `super().__call__`; so does a subclass of TrackedTask."""
    for tracked in (False, True):
        around: list[Any] = []
        app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
        base: Any = TrackedTask if tracked else app.Task

        class Around(base):  # type: ignore[misc]  # made by Celery
            def __call__(self, *args: Any, _around: list[Any] = around, **kwargs: Any) -> Any:
                _around.append((self.request.task_ids, args[0]))
                return super().__call__(*args, **kwargs)

        app.Task = Around
        track(app)

        def task(orders: list[Order]) -> list[int]:
            return [order.number for order in orders]

        with BatchBench(redis_url, task, app=app, takes_list=True) as bench:
            bench.client.flushdb()
            bench.partition.acquire()
            bench.run(*numbers(1, 2))
            assert around == [(ids(0, 1), [Order(number=1), Order(number=2)])]
            assert (bench.partition.entries, bench.result(1)) == ([], ("SUCCESS", 2))
