"""The help desk, without Kafka and Redis: `pytest examples/flask_app`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask

import tickets.tasks  # noqa: F401 - registers the task
from ferry_worker.testing import Done, Invalid, Outcome, Retried, run_message
from ticket_routes import Ticket, routes
from tickets import create_app

PRINTER = '{"customer": "Ada", "text": "the printer is on fire"}'


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An app with a database of this test's own."""
    return create_app({"DATABASE": str(tmp_path / "tickets.sqlite")})


def ticket(app: Flask, value: str = PRINTER, offset: int = 0) -> Outcome:
    """What becomes of a record of the topic `tickets`."""
    return run_message(routes, "tickets", value, app=app.extensions["celery"], offset=offset)


def shown(app: Flask) -> object:
    """What a browser gets."""
    return app.test_client().get("/").json


@contextmanager
def locked(app: Flask) -> Iterator[None]:
    """Somebody else is writing, and nobody waits for it."""
    with closing(sqlite3.connect(app.config["DATABASE"], isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_ticket_can_be_read(app: Flask) -> None:
    outcome = ticket(app)
    assert isinstance(outcome, Done)
    assert outcome.message == Ticket(customer="Ada", text="the printer is on fire")
    assert shown(app) == [{"customer": "Ada", "text": "the printer is on fire"}]


def test_each_app_has_its_own_context(app: Flask, tmp_path: Path) -> None:
    other = create_app({"DATABASE": str(tmp_path / "other.sqlite")})
    assert isinstance(ticket(app), Done)
    assert (len(shown(app)), shown(other)) == (1, [])  # type: ignore[arg-type]  # a list


def test_a_ticket_that_runs_twice_is_there_once(app: Flask) -> None:
    for offset in (0, 0, 1):
        assert isinstance(ticket(app, offset=offset), Done)
    assert len(shown(app)) == 2  # type: ignore[arg-type]  # a list


def test_a_ticket_of_nobody_becomes_a_dead_letter(app: Flask) -> None:
    assert ticket(app, '{"text": "help"}') == Invalid(error="invalid: customer: Field required")


def test_a_locked_database_is_tried_again(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickets.database.WAIT_SECONDS", 0)
    with locked(app):
        first = ticket(app)
    assert isinstance(first, Retried)
    assert first.countdown_seconds == 2
    assert isinstance(first.run_again(), Done)
    assert len(shown(app)) == 1  # type: ignore[arg-type]  # a list
