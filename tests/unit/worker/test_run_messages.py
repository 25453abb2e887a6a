"""`ferry_worker.testing.run_messages`: several messages as one batch, with the outcome of each."""

from typing import Any

import pytest
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from ferry_shared.errors import ConfigurationError
from ferry_worker import FailedMessages
from ferry_worker.payload import InvalidPayload
from ferry_worker.testing import Done, Failed, Invalid, Requeued, Retried, Sent, run_message, run_messages
from tests.support.shop_app import ROUTES, Order, app_with

pytestmark = pytest.mark.usefixtures("nobody_connects")


class Strict(BaseModel):
    """What a task of a newer version expects of it."""

    number: int
    day: str


def values(*numbers: int) -> list[bytes]:
    """Orders with these numbers."""
    return [b'{"number": %d}' % number for number in numbers]


def handle(task: Any, order: Order) -> int:
    """End as the number says."""
    match order.number:
        case 1:
            raise LookupError("no such order")
        case 2:
            if not task.request.retries:
                task.retry(countdown=60)
        case 3:
            raise Reject("later", requeue=True)
        case 4:
            raise Ignore
        case 5:
            task.retry(throw=False)
        case 6:
            task.app.send_task("sendMail", (order.number,))
        case 7:
            raise SoftTimeLimitExceeded
    return 10 * order.number


def test_each_has_its_own_outcome() -> None:
    """In the order of the values, with what each sent; a retry can be run on."""
    outcomes = run_messages(
        ROUTES, "orders", values(0, 1, 2, 3, 4, 5, 6, 7), app=app_with(handle, bind=True), offset=40
    )
    told = [(outcome.task_id, outcome.message) for outcome in outcomes if not isinstance(outcome, Invalid)]
    assert told == [(f"orders-0-{40 + number}", Order(number=number)) for number in range(8)]
    done, failed, retried, requeued, ignored, on_and_on, sending, late = outcomes
    assert done == Done(task_id="orders-0-40", queue="orders-queue", message=Order(number=0), sent=(), result=0)
    assert isinstance(failed, Failed)
    assert (failed.error, repr(failed.exception)) == ("LookupError: no such order", "LookupError('no such order')")
    assert isinstance(retried, Retried)
    assert (retried.countdown_seconds, retried.retries, retried.args) == (60, 1, ({"number": 2},))
    again = retried.run_again()
    assert isinstance(again, Done)
    assert (again.task_id, again.result) == ("orders-0-42", 20)
    assert isinstance(requeued, Requeued)
    assert requeued.reason == "Reject: later"
    assert isinstance(ignored, Done)
    assert ignored.result is None
    assert isinstance(on_and_on, Retried)
    assert isinstance(sending, Done)
    assert sending.sent == (Sent(task="sendMail", args=(6,), kwargs={}, queue="celery"),)
    assert isinstance(late, Requeued)
    assert late.reason == "SoftTimeLimitExceeded"


def test_what_the_check_refuses_is_not_in_the_batch() -> None:
    """It keeps its place among the outcomes, and its offset."""
    seen: list[str] = []

    def handle(self: Any, order: Order) -> None:
        seen.append(self.request.id)

    outcomes = run_messages(ROUTES, "orders", [b"{", *values(0), None, *values(1)], app=app_with(handle, bind=True))
    assert [type(outcome) for outcome in outcomes] == [Invalid, Done, Invalid, Done]
    assert seen == ["orders-0-1", "orders-0-3"]


@pytest.mark.parametrize("several", [[], values(5), [b"{", *values(5)], [b"{", b""]])
def test_less_than_two_are_no_batch(several: list[bytes]) -> None:
    """One is a single message; none is nothing."""
    calls: list[list[int]] = []

    def handle(orders: list[Order]) -> None:
        calls.append([order.number for order in orders])

    outcomes = run_messages(ROUTES, "orders", several, app=app_with(handle, takes_list=True))
    assert len(outcomes) == len(several)
    assert calls == [[5]] * (values(5)[0] in several)


def test_a_task_that_takes_a_list() -> None:
    """One call; each message's own outcome and result; what was sent is told with each."""
    calls: list[list[int]] = []

    def handle(self: Any, orders: list[Order]) -> list[int]:
        calls.append([order.number for order in orders])
        self.app.send_task("sendMail", (len(orders),))
        return [10 * order.number for order in orders]

    outcomes = run_messages(ROUTES, "orders", values(1, 2, 3), app=app_with(handle, bind=True, takes_list=True))
    assert calls == [[1, 2, 3]]
    sent = (Sent(task="sendMail", args=(3,), kwargs={}, queue="celery"),)
    assert outcomes == [
        Done(
            task_id=f"orders-0-{index}", queue="orders-queue", message=Order(number=index + 1), sent=sent,
            result=10 * (index + 1),
        )
        for index in range(3)
    ]  # fmt: skip


def test_a_list_of_which_some_fail() -> None:
    """As the task reports them, or as their values don't fit its annotation."""

    def handle(orders: list[Strict]) -> FailedMessages:
        return FailedMessages({1: "out of stock"})

    good = b'{"number": 1, "day": "Monday"}'
    outcomes = run_messages(ROUTES, "orders", [good, *values(2), good, good], app=app_with(handle, takes_list=True))
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Failed, Done]
    _, unfit, reported, _ = outcomes
    assert isinstance(unfit, Failed)
    assert isinstance(reported, Failed)
    assert (unfit.error, unfit.message) == ("InvalidPayload: day: Field required", None)
    assert isinstance(unfit.exception, InvalidPayload)
    assert (reported.error, str(reported.exception)) == ("MessageFailed: out of stock", "out of stock")


def test_a_list_whose_call_raises() -> None:
    """Each is run by itself: the bad one alone has failed."""

    def handle(orders: list[Order]) -> str:
        if any(order.number == 1 for order in orders):
            raise LookupError("no such order")
        return "stored"

    outcomes = run_messages(ROUTES, "orders", values(0, 1, 2), app=app_with(handle, takes_list=True))
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]


def test_a_list_that_is_retried() -> None:
    """Each runs on by itself, as a list of one."""
    calls: list[list[int]] = []

    def handle(self: Any, orders: list[Order]) -> None:
        calls.append([order.number for order in orders])
        if not self.request.retries:
            self.retry(countdown=5, exc=ConnectionError("not yet"))

    first, _ = run_messages(ROUTES, "orders", values(1, 2), app=app_with(handle, bind=True, takes_list=True))
    assert isinstance(first, Retried)
    assert (first.countdown_seconds, first.args, repr(first.exception)) == (
        5, ({"number": 1},), "ConnectionError('not yet')",
    )  # fmt: skip
    assert isinstance(first.run_again(), Done)
    assert calls == [[1, 2], [1]]


def test_half_of_the_soft_limit_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not begun by then would go on by itself, and here has not run."""
    monkeypatch.setattr("ferry_worker.batch_run.SHARE_OF_SOFT_LIMIT", 0.0)
    outcomes = run_messages(ROUTES, "orders", values(0, 1), app=app_with(handle, bind=True))
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Requeued)] == [
        "half of the soft time limit was over"
    ] * 2


def test_results_stay_here() -> None:
    """An app's backend isn't asked."""
    app = app_with(handle, backend="redis://results.invalid/0", bind=True)
    assert [type(outcome) for outcome in run_messages(ROUTES, "orders", values(0, 1), app=app)] == [Done, Failed]


def test_what_keeps_a_worker_from_starting() -> None:
    """An annotation that is no list, of a task that takes one, is refused with a sentence."""

    def handle(order: Order) -> None: ...

    app = app_with(handle, takes_list=True)
    with pytest.raises(ConfigurationError, match="the type of 'order' can't be used: takes_list: expected list"):
        run_messages(ROUTES, "orders", values(0, 1), app=app)


def test_run_message_of_a_task_that_takes_a_list() -> None:
    """Is a list of one; `message` is what is in it."""

    def handle(self: Any, orders: list[Order]) -> Any:
        (order,) = orders
        if order.number == 1:
            return FailedMessages({0: "out of stock"})
        if order.number == 2 and not self.request.retries:
            self.retry(args=([Order(number=7)],), countdown=0)
        return [self.request.task_ids, order.number]

    app = app_with(handle, bind=True, takes_list=True)
    done, failed, retried = (run_message(ROUTES, "orders", value, app=app, offset=9) for value in values(0, 1, 2))
    assert isinstance(done, Done)
    assert (done.message, done.result) == (Order(number=0), [["orders-0-9"], 0])
    assert isinstance(failed, Failed)
    assert (failed.error, failed.message) == ("MessageFailed: out of stock", Order(number=1))
    assert isinstance(retried, Retried)
    assert retried.args == ({"number": 7},)
    again = retried.run_again()
    assert isinstance(again, Done)
    assert again.result == [["orders-0-9"], 7]
