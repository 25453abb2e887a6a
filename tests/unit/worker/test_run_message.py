"""`ferry_worker.testing`: one message through check and task, with the outcome that production would record."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import EncodeError

import ferry_worker.tasks  # noqa: F401 - Ferry's own task, in Ferry's own app
from ferry_shared.errors import ConfigurationError
from ferry_shared.message import Message
from ferry_shared.routes import JsonSchema, Route
from ferry_worker.payload import InvalidPayload
from ferry_worker.testing import Done, Failed, Invalid, Outcome, Requeued, Retried, Sent, run_message
from ferry_worker.tracking import tracking_of
from tests.support.shop_app import ROUTES, Order, app_with

pytestmark = pytest.mark.usefixtures("nobody_connects")
VALUE = b'{"number": 1}'


class OutOfStock(Exception):
    """An error that can't be pickled: its arguments are not those of its constructor."""

    def __init__(self, number: int, stock: int) -> None:
        super().__init__(f"{number} wanted, {stock} left")


def outcome_of(function: Callable[..., Any], value: bytes = VALUE, **options: Any) -> Outcome:
    """What becomes of an order that `function` handles."""
    return run_message(ROUTES, "orders", value, app=app_with(function, **options))


def raising(error: BaseException) -> Callable[[Order], None]:
    """Return a task's function that raises."""

    def handle(order: Order) -> None:
        raise error

    return handle


def test_a_task_that_returns_is_done() -> None:
    """The outcome tells what the function got and returned, and the id and queue that the task would have."""

    def handle(order: Order) -> int:
        return order.number + 1

    assert outcome_of(handle) == Done(
        task_id="orders-0-0", queue="orders-queue", message=Order(number=1), sent=(), result=2
    )


def test_the_records_place_is_what_the_test_says() -> None:
    """Partition, offset and group make the id; id, retries and queue are in the request, as in production."""
    seen: list[Any] = []

    def handle(self: Any, order: Order) -> None:
        seen.append((self.request.id, self.request.retries, self.request.delivery_info["routing_key"]))

    app = app_with(handle, bind=True)
    outcome = run_message(ROUTES, "orders", VALUE, app=app, partition=3, offset=4711, group="audit")
    assert isinstance(outcome, Done)
    assert outcome.task_id == "orders-3-4711@audit"
    assert seen == [("orders-3-4711@audit", 0, "orders-queue")]


def test_ferrys_own_app_and_message(caplog: pytest.LogCaptureFixture) -> None:
    """Without an app it is Ferry's own; the built-in message takes its id and time from the record."""
    caplog.set_level("INFO", "ferry.worker")
    outcome = run_message(
        [Route("messages", Message, "printSomething")], "messages", '{"text": "hello"}', timestamp_ms=1_700_000_000_000
    )
    assert isinstance(outcome, Done)
    assert (outcome.message.id, outcome.message.sent_at) == ("messages-0-0", datetime.fromtimestamp(1_700_000_000, UTC))
    assert caplog.messages[0].startswith("hello (")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, "empty: the record has no value"),
        (b"", "empty: the record has no value"),
        (b"{", "not-json: unexpected end of data"),
        (b'{"number": NaN}', "not-json: unexpected character"),
        ('{"number": "\ud800"}', "not-json: "),
        (b'{"number": "x"}', "invalid: number: Input should be a valid integer"),
        (b"{}", "invalid: number: Field required"),
    ],
)
def test_what_the_consumer_refuses_is_invalid(value: bytes | str | None, error: str) -> None:
    """The task isn't called; the error is the dead letter's, its reason the one in the letter's header."""
    outcome = run_message(ROUTES, "orders", value, app=app_with(raising(AssertionError("it ran"))))
    assert isinstance(outcome, Invalid)
    assert outcome.error.startswith(error)
    assert outcome.reason == error.partition(":")[0]


def test_a_schema_file_is_asked_as_the_consumer_does(tmp_path: Path) -> None:
    """Its task gets a dict."""

    def handle(order: dict[str, Any]) -> Any:
        return order

    (tmp_path / "order.json").write_text('{"required": ["number"], "properties": {"number": {"type": "integer"}}}')
    app, routes = app_with(handle), [Route("orders", JsonSchema(tmp_path / "order.json"), "handleOrder")]
    outcome = run_message(routes, "orders", b'{"number": 100000000000000000000, "more": []}', app=app)
    assert isinstance(outcome, Done)
    assert outcome.result == {"number": 10**20, "more": []}
    refused = run_message(routes, "orders", b'{"number": "x"}', app=app)
    assert refused == Invalid(error='invalid: number: the value is not of type "integer"')


def test_the_size_limit_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for the consumer counts."""
    monkeypatch.setenv("CONSUMER_MAX_RECORD_BYTES", "12")
    assert outcome_of(raising(AssertionError("it ran"))) == Invalid(
        error="too-large: 13 bytes, CONSUMER_MAX_RECORD_BYTES is 12"
    )


@pytest.mark.parametrize(
    ("raised", "error", "reason"),
    [
        (ValueError("no stock"), "ValueError: no stock", "ValueError"),
        (OutOfStock(3, 2), "OutOfStock: 3 wanted, 2 left", "OutOfStock"),
        (Reject("no use"), "Reject: no use", "Reject"),
        (AssertionError(), "AssertionError", "AssertionError"),
    ],
    ids=repr,
)
def test_a_task_that_raises_has_failed(raised: Exception, error: str, reason: str) -> None:
    """The error is the dead letter's, the exception the very one, also where Celery would wrap it."""
    outcome = outcome_of(raising(raised))
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.reason, outcome.exception) == (error, reason, raised)
    assert outcome.message == Order(number=1)


def test_a_value_that_the_tasks_annotation_refuses_has_failed() -> None:
    """The route's type and the annotation can differ: production finds out in the worker."""

    def handle(order: list[int]) -> None:
        raise AssertionError("it ran")

    outcome = outcome_of(handle)
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.message) == ("InvalidPayload: Input should be a valid array", None)
    assert isinstance(outcome.exception, InvalidPayload)


def test_a_task_that_ends_itself_is_done() -> None:
    """Ignore is an end like any other, with no result."""
    outcome = outcome_of(raising(Ignore()))
    assert isinstance(outcome, Done)
    assert outcome.result is None


def test_a_message_that_goes_back_to_the_queue() -> None:
    """Nothing is recorded of it."""
    outcome = outcome_of(raising(Reject("later", requeue=True)))
    assert isinstance(outcome, Requeued)
    assert outcome.reason == "Reject: later"


def test_a_retry_tells_when_and_with_what() -> None:
    """The delay, the number of the next attempt, and its arguments as they travel."""

    def handle(self: Any, order: Order, note: str = "") -> None:
        self.retry(countdown=1.5, args=(Order(number=2),), kwargs={"note": "again"})

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Retried)
    assert (outcome.countdown_seconds, outcome.retries, outcome.exception) == (1.5, 1, None)
    assert (outcome.message, outcome.args, outcome.kwargs) == (Order(number=1), ({"number": 2},), {"note": "again"})


def test_the_next_attempt_gets_what_the_retry_stored() -> None:
    """It is called with the changed message, and sees that it is the second attempt."""
    seen: list[Any] = []

    def handle(self: Any, order: Order, note: str = "") -> str:
        seen.append((self.request.retries, order.number, note))
        if self.request.retries == 0:
            self.retry(args=(Order(number=2),), kwargs={"note": "again"})
        return "done"

    first = outcome_of(handle, bind=True)
    assert isinstance(first, Retried)
    assert first.countdown_seconds == 180  # Celery's default_retry_delay
    second = first.run_again()
    assert isinstance(second, Done)
    assert (second.message, second.result, second.task_id) == (Order(number=2), "done", first.task_id)
    assert seen == [(0, 1, ""), (1, 2, "again")]


def test_a_retry_without_arguments_fails_at_the_next_attempt() -> None:
    """Whoever passes none takes the message away."""

    def handle(self: Any, order: Order) -> None:
        self.retry(args=(), kwargs={})

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Retried)
    assert (outcome.args, outcome.kwargs) == ((), {})
    again = outcome.run_again()
    assert isinstance(again, Failed)
    assert again.reason == "TypeError"


def test_the_last_retry_fails() -> None:
    """After `max_retries` the outcome is the dead letter."""

    def handle(self: Any, order: Order) -> None:
        self.retry()

    first = outcome_of(handle, bind=True, max_retries=2)
    assert isinstance(first, Retried)
    second = first.run_again()
    assert isinstance(second, Retried)
    last = second.run_again()
    assert isinstance(last, Failed)
    assert (second.retries, last.reason) == (2, "MaxRetriesExceededError")
    assert isinstance(last.exception, MaxRetriesExceededError)


def test_a_retry_by_its_exception() -> None:
    """`autoretry_for` is Celery's own, with the task's delay; the outcome tells what it was for."""
    error = ConnectionError("away")
    outcome = outcome_of(raising(error), autoretry_for=(ConnectionError,), default_retry_delay=7)
    assert isinstance(outcome, Retried)
    assert (outcome.countdown_seconds, outcome.exception) == (7, error)


def test_a_changed_message_that_does_not_fit_fails_at_the_next_attempt() -> None:
    """As in production: nobody looks at it before."""

    def handle(self: Any, order: Order) -> None:
        self.retry(args=({"number": "many"},))

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Retried)
    again = outcome.run_again()
    assert isinstance(again, Failed)
    assert again.reason == "InvalidPayload"


def test_what_the_task_sends_is_told_and_not_sent() -> None:
    """Each task that it starts, with what its worker would get, its queue and its time."""

    def handle(self: Any, order: Order) -> None:
        mail = self.app.tasks["sendMail"]
        mail.delay("a", to="b")
        mail.apply_async(("later",), eta=datetime.now(UTC) + timedelta(hours=1), queue="slow")
        chain(mail.s("first"), mail.si("second"), mail.si("third"))()
        self.app.send_task("elsewhere", args=((1, 2),))

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Done)
    plain, later, chained, elsewhere = outcome.sent
    assert plain == Sent(task="sendMail", args=("a",), kwargs={"to": "b"}, queue="celery")
    assert (later.args, later.queue) == (("later",), "slow")
    assert datetime.fromisoformat(later.eta or "") - datetime.now(UTC) > timedelta(minutes=59)
    assert (chained.args, chained.then) == (("first",), ("sendMail", "sendMail"))
    assert (elsewhere.task, elsewhere.args) == ("elsewhere", ([1, 2],))


@pytest.mark.parametrize("backend", [None, "redis://results.invalid/1"])
def test_a_group_is_sent_without_a_server(backend: str | None) -> None:
    """Also where results are kept in a Redis."""

    def handle(self: Any, order: Order) -> str:
        mail = self.app.tasks["sendMail"]
        group(mail.s(1), mail.s(2))()
        return "sent"

    outcome = outcome_of(handle, bind=True, backend=backend)
    assert isinstance(outcome, Done)
    assert (outcome.result, [sent.args for sent in outcome.sent]) == ("sent", [(1,), (2,)])


def test_a_chord_needs_results_as_in_production() -> None:
    """Without a result backend it fails, with one its header is sent."""

    def handle(self: Any, order: Order) -> None:
        mail = self.app.tasks["sendMail"]
        chord([mail.s(1), mail.s(2)])(mail.s())

    failed = outcome_of(handle, bind=True)
    assert isinstance(failed, Failed)
    assert failed.reason == "NotImplementedError"
    done = outcome_of(handle, bind=True, backend="redis://results.invalid/1")
    assert [sent.args for sent in done.sent] == [(1,), (2,)]  # type: ignore[union-attr]  # anything else fails here


def test_a_result_that_can_not_be_kept_does_not_undo_the_end() -> None:
    """As in production: the message is done, and Celery knows no result; every run begins with an empty backend."""

    def handle(order: Order) -> object:
        return object() if order.number else "kept"

    app = app_with(handle, backend="redis://results.invalid/1")
    kept = run_message(ROUTES, "orders", b'{"number": 0}', app=app)
    lost = run_message(ROUTES, "orders", b'{"number": 1}', app=app)
    assert isinstance(kept, Done)
    assert isinstance(lost, Done)
    assert (kept.result, lost.result) == ("kept", None)


def test_a_task_that_replaces_itself_is_done() -> None:
    """The task in its place is sent."""

    def handle(self: Any, order: Order) -> None:
        self.replace(self.app.tasks["sendMail"].s("instead"))

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Done)
    assert [(sent.task, sent.args) for sent in outcome.sent] == [("sendMail", ("instead",))]


def test_what_can_not_be_sent_raises_as_in_production() -> None:
    """A model is no JSON."""

    def handle(self: Any, order: Order) -> None:
        self.app.tasks["sendMail"].delay(order)

    outcome = outcome_of(handle, bind=True)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.exception, EncodeError)
    assert outcome.sent == ()


@pytest.mark.parametrize("raised", [None, ValueError("no"), SystemExit(1)], ids=repr)
def test_app_and_task_are_left_as_they_were(raised: BaseException | None) -> None:
    """Whatever the task does: what stood for the servers is gone afterwards."""

    def handle(order: Order) -> None:
        if raised:
            raise raised

    app = app_with(handle, backend="redis://results.invalid/1")
    task, backend, sender = app.tasks["handleOrder"], app.backend, app.amqp.send_task_message
    parameter = task.message_parameter
    try:
        run_message(ROUTES, "orders", VALUE, app=app)
    except SystemExit:
        assert raised
    assert (app.backend, app.amqp.send_task_message, task.message_parameter) == (backend, sender, parameter)
    assert task._tracking() is tracking_of(app)


def plain(order: Order) -> None:
    """Take an order."""


def unusable(order: Any) -> None:
    """Take something."""


unusable.__annotations__["order"] = "Missing"


@pytest.mark.parametrize(
    ("routes", "options", "expected"),
    [
        ([Route("refunds", Order, "handleOrder")], {}, "there is no route for topic orders, only for refunds"),
        ([], {}, "expected routes to be a list of Route"),
        (ROUTES * 2, {}, "the topic orders has more than one route"),
        ([Route("orders", Order, "missing")], {}, "the app has no task 'missing' for topic orders: import the module"),
        ([Route("orders", object(), "handleOrder")], {}, "the message type of the route for orders can't be used"),
        (ROUTES, {"base": Celery(set_as_current=False).Task}, r"must be ferry_worker\.TrackedTask"),
        (ROUTES, {"time_limit": 301}, "WORKER_TASK_TIME_LIMIT_SECONDS"),
    ],
)
def test_what_would_not_start_is_refused(routes: list[Route], options: dict[str, Any], expected: str) -> None:
    """A test must not pass for routes with which consumer or worker refuse to start."""
    with pytest.raises(ConfigurationError, match=expected):
        run_message(routes, "orders", VALUE, app=app_with(plain, **options))


def test_an_annotation_that_can_not_be_used_is_refused() -> None:
    """As the worker does with FERRY_ROUTES."""
    with pytest.raises(ConfigurationError, match="the type of 'order' can't be used"):
        outcome_of(unusable)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**100), 10**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["__type__", "__value__"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def echoing() -> Any:
    """An app whose task returns what it got, at the second attempt."""

    def handle(self: Any, message: Any) -> Any:
        if self.request.retries == 0:
            self.retry(args=(message,))
        return message

    return app_with(handle, bind=True)


@given(value=json_values)
def test_any_value_arrives_and_is_retried_exactly(echoing: Any, value: Any) -> None:
    """Integers of any size, and keys that kombu would interpret."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    first = run_message([Route("orders", Any, "handleOrder")], "orders", text, app=echoing)
    assert isinstance(first, Retried)
    second = first.run_again()
    assert isinstance(second, Done)
    for arrived in (first.message, first.args[0], second.message, second.result):
        assert repr(arrived) == repr(json.loads(text))


@given(value=st.binary(max_size=50))
def test_any_bytes_have_an_outcome(echoing: Any, value: bytes) -> None:
    """Whatever a producer sends."""
    outcome = run_message([Route("orders", dict[str, int], "handleOrder")], "orders", value, app=echoing)
    assert isinstance(outcome, Invalid | Retried)
