"""The shop, without Kafka and Redis: `pytest examples/orders`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import orders.tasks  # noqa: F401 - registers the tasks
from ferry_worker.testing import Done, Failed, Invalid, Outcome, Retried, run_message
from orders.messages import Item, Order, Refunded
from orders.routes import routes

ORDER = b'{"number": 17, "items": [{"sku": "tea", "quantity": 2}, {"sku": "cup"}]}'


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Books of this test's own."""
    path = tmp_path / "books.sqlite"
    monkeypatch.setenv("ORDERS_BOOKS", str(path))
    return path


def entries(file: Path, table: str) -> list[tuple[object, ...]]:
    """What stands in the books."""
    with closing(sqlite3.connect(file)) as books:
        return books.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608 - the test's own words


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Somebody else is writing."""
    with closing(sqlite3.connect(file, isolation_level=None)) as books:
        books.execute("BEGIN EXCLUSIVE")
        yield


def payment(offset: int, value: str) -> Outcome:
    """What becomes of a record of the topic `payments`."""
    return run_message(routes, "payments", value, offset=offset)


def test_an_order_is_entered_and_confirmed(file: Path) -> None:
    outcome = run_message(routes, "orders", ORDER)
    assert isinstance(outcome, Done)
    assert outcome.message == Order(number=17, items=[Item(sku="tea", quantity=2), Item(sku="cup")])
    assert [(sent.task, sent.args) for sent in outcome.sent] == [("confirmOrder", (17,))]
    assert entries(file, "orders") == [("orders-0-0", 17, 3)]


def test_an_order_that_runs_twice_is_entered_once(file: Path) -> None:
    for _ in range(2):
        assert isinstance(run_message(routes, "orders", ORDER), Done)
    assert len(entries(file, "orders")) == 1


def test_an_order_waits_longer_and_longer_for_locked_books(file: Path) -> None:
    with locked(file):
        first = run_message(routes, "orders", ORDER)
        assert isinstance(first, Retried)
        second = first.run_again()
    assert isinstance(second, Retried)
    assert (first.countdown_seconds, second.countdown_seconds) == (1, 2)
    assert isinstance(second.run_again(), Done)
    assert len(entries(file, "orders")) == 1


def test_an_order_gives_up(file: Path) -> None:
    with locked(file):
        outcome = run_message(routes, "orders", ORDER)
        for _ in range(5):
            assert isinstance(outcome, Retried)
            outcome = outcome.run_again()
    assert isinstance(outcome, Failed)
    assert outcome.error == "OperationalError: database is locked"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ('{"number": 17}', "invalid: items: Field required"),
        ('{"number": 17, "items": []}', "invalid: items: List should have at least 1 item after validation, not 0"),
        ('{"number": 17, "items": [', "not-json: unexpected end of data"),
    ],
)
def test_a_broken_order_becomes_a_dead_letter(value: str, error: str) -> None:
    assert run_message(routes, "orders", value) == Invalid(error=error)


def test_payments_of_both_types_add_up() -> None:
    paid = payment(0, '{"type": "paid", "order": 17, "cents": 500}')
    refunded = payment(1, '{"type": "refunded", "order": 17, "cents": 200, "reason": "cup broken"}')
    assert isinstance(paid, Done)
    assert isinstance(refunded, Done)
    assert (paid.result, refunded.result) == (500, 300)
    assert isinstance(refunded.message, Refunded)


def test_a_payment_of_no_known_type_becomes_a_dead_letter() -> None:
    outcome = payment(0, '{"type": "stolen", "order": 17, "cents": 500}')
    assert outcome == Invalid(error="invalid: The tag is none of the union's")


def test_more_given_back_than_paid_becomes_a_dead_letter(file: Path) -> None:
    outcome = payment(0, '{"type": "refunded", "order": 17, "cents": 200}')
    assert isinstance(outcome, Failed)
    assert outcome.error == "ValueError: order 17: more would be given back than was paid"
    assert entries(file, "payments") == []


def test_a_payment_is_tried_again_while_the_books_are_locked(file: Path) -> None:
    with locked(file):
        outcome = payment(0, '{"type": "paid", "order": 17, "cents": 500}')
    assert isinstance(outcome, Retried)
    assert outcome.countdown_seconds == 5
