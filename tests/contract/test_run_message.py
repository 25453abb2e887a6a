"""What `ferry_worker.testing` says of a message is what consumer and worker record of it in a real ledger."""

import time
from base64 import b64decode
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import orjson
import pytest
from celery import Celery
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject
from confluent_kafka import TIMESTAMP_CREATE_TIME
from kombu.utils.json import loads
from pydantic import BaseModel, Field

from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from ferry_worker import track
from ferry_worker.attempt import OWNER_FIELD
from ferry_worker.configuration import worker_settings
from ferry_worker.testing import Done, Failed, Invalid, Outcome, Requeued, Retried, run_message
from tests.support.fetched_message import fetched
from tests.support.held_partition import partition_of
from tests.support.ledger_probe import OWNER, LedgerProbe

TIMESTAMP_MS = 1_700_000_000_000
LIMITS = DispatchLimits(ConsumerSettings().consumer_max_record_bytes, 3_600)


class Deed(BaseModel):
    """What the task is to do."""

    deed: Literal["return", "raise", "retry", "change", "give up", "ignore", "reject", "requeue", "misfit"]
    number: int = 0


def act(task: Any, deed: Deed, note: str = "") -> int:
    """Do what the message says; `misfit` asks for a retry that no model can be made of."""
    match deed.deed:
        case "raise":
            raise ValueError(f"number {deed.number}")
        case "retry":
            task.retry(countdown=deed.number)
        case "change":
            task.retry(args=(Deed(deed="return", number=deed.number), "changed"), countdown=2.5)
        case "give up":
            task.retry(max_retries=0)
        case "ignore":
            raise Ignore
        case "reject":
            raise Reject("no use")
        case "requeue":
            raise Reject("later", requeue=True)
        case "misfit":
            task.retry(args=({"deed": deed.number},), countdown=0)
    return deed.number


class Paid(BaseModel):
    """One kind of message of a topic."""

    type: Literal["paid"]
    cents: int


class Refunded(BaseModel):
    """Another one."""

    type: Literal["refunded"]
    cents: int


Payment = Annotated[Paid | Refunded, Field(discriminator="type")]


def book(payment: Payment) -> int:
    """Take either; what is refunded counts below 0."""
    if payment.cents == 0:
        raise ValueError(f"{type(payment).__name__} of nothing")
    return payment.cents if isinstance(payment, Paid) else -payment.cents


@dataclass
class Production:
    """The consumer's dispatch and the worker's task on a real ledger, one record after the other."""

    ledger: LedgerProbe
    route: Route
    app: Any
    monkeypatch: pytest.MonkeyPatch
    offset: int = 0

    def take(self, value: bytes | None) -> str:
        """Dispatch a record, and run its task if it has one; returns the entry's member."""
        member = str(self.offset)
        partition = partition_of(self.ledger, self.route, in_flight=self.offset)
        record = fetched(self.offset, value, timestamp=(TIMESTAMP_CREATE_TIME, TIMESTAMP_MS))
        (call,) = dispatches_of(partition, [record], int(time.time() * 1000), LIMITS)
        self.ledger.send(call)
        self.offset += 1
        for queued in call.queued:
            self._run(orjson.loads(queued.celery_message))
        return member

    def _run(self, message: Any) -> None:
        """As a pool process does."""
        task = self.app.tasks[self.route.task]
        tracking = SimpleNamespace(settings=worker_settings(), pool_ledger=self.ledger.worker)
        args, kwargs, _ = loads(b64decode(message["body"]).decode())
        request = {name: value for name, value in message["headers"].items() if value is not None}
        with self.monkeypatch.context() as patched:
            patched.setattr("ferry_worker.tracked_task.tracking_of", lambda _app: tracking)
            trace = build_tracer(task.name, task, app=self.app)
            trace(request["id"], args, kwargs, request | {OWNER_FIELD: OWNER, "delivery_info": {}})

    def agrees(self, member: str, outcome: Outcome) -> None:
        """The entry's end is what the outcome says; it is taken away then."""
        state, payload = self.ledger.state(member), self.ledger.stored_payload(member)
        match outcome:
            case Done():
                assert member not in self.ledger.members()
            case Invalid(error=error) | Failed(error=error):
                assert state["error"] == error
                assert self.ledger.due(member).error == error
            case Retried():
                stored = orjson.loads(payload or b"")
                args, kwargs, _ = loads(stored["body"])
                assert ((orjson.loads(args[0]), *args[1:]), kwargs) == (outcome.args, outcome.kwargs)
                assert (stored["retries"], stored["timestamp_ms"]) == (outcome.retries, TIMESTAMP_MS)
                waits_ms = state["due"] - self.ledger.now_ms()
                assert -2_000 < waits_ms - outcome.countdown_seconds * 1000 <= 0
            case Requeued():
                assert member in self.ledger.members()
                assert (state["owner"], state.get("error")) == (OWNER, None)


@pytest.fixture
def production(ledger: LedgerProbe, monkeypatch: pytest.MonkeyPatch) -> Production:
    """An app with the acting task, and the ledger that its outcomes go to."""
    app = Celery("deeds", broker="redis://broker.invalid/0", set_as_current=False)
    track(app)
    app.task(shared=False, name="act", bind=True, max_retries=3)(act)
    app.task(shared=False, name="book")(book)
    ledger.own()
    return Production(ledger, Route(ledger.place.topic, Deed, "act", ledger.queue), app, monkeypatch)


def asking_for(name: str) -> bytes:
    """A record that asks for it."""
    return orjson.dumps({"deed": name, "number": 7})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (asking_for("return"), Done),
        (asking_for("ignore"), Done),
        (asking_for("raise"), Failed),
        (asking_for("reject"), Failed),
        (asking_for("give up"), Failed),
        (asking_for("retry"), Retried),
        (asking_for("change"), Retried),
        (asking_for("misfit"), Retried),
        (asking_for("requeue"), Requeued),
        (asking_for("dance"), Invalid),
        (b'{"deed": "return", "number": 1e400}', Invalid),
        (b"[]", Invalid),
        (b"{", Invalid),
        (b"", Invalid),
        (None, Invalid),
    ],
)
def test_a_trial_ends_as_the_ledger_does(production: Production, value: bytes | None, kind: type[Outcome]) -> None:
    """Whatever a record holds and its task does: done, error, delay, and the next attempt's arguments."""
    outcome = run_message(
        [production.route],
        production.route.topic,
        value,
        app=production.app,
        offset=production.offset,
        timestamp_ms=TIMESTAMP_MS,
        group=production.ledger.group,
    )
    assert isinstance(outcome, kind)
    production.agrees(production.take(value), outcome)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"type": "paid", "cents": 5}', ("done", Paid, 5)),
        (b'{"type": "refunded", "cents": 5}', ("done", Refunded, -5)),
        (b'{"type": "paid", "cents": 0}', ("failed", Paid, "ValueError: Paid of nothing")),
        (b'{"type": "refunded", "cents": 0}', ("failed", Refunded, "ValueError: Refunded of nothing")),
        (b'{"type": "stolen", "cents": 5}', ("invalid", None, "invalid: The tag is none of the union's")),
        (b'{"type": "refunded"}', ("invalid", None, "invalid: refunded.cents: Field required")),
    ],
)
def test_one_of_several_topics_with_a_union(
    production: Production, redis_url: str, value: bytes, expected: tuple[str, type[BaseModel] | None, object]
) -> None:
    """Each topic has its task and queue; the field `type` tells what the task gets, here as in a real ledger."""
    with LedgerProbe(redis_url, production.ledger.group, "payments") as payments:
        payments.own()
        route = Route("payments", Payment, "book", payments.queue)
        second = Production(payments, route, production.app, production.monkeypatch)
        outcome = run_message(
            [production.route, route], "payments", value, app=production.app, timestamp_ms=TIMESTAMP_MS
        )
        second.agrees(second.take(value), outcome)
        production.take(asking_for("return"))
        match outcome:
            case Done(message=message, result=result):
                assert ("done", type(message), result) == expected
            case Failed(message=message, error=error):
                assert ("failed", type(message), error) == expected
            case Invalid(error=error):
                assert ("invalid", None, error) == expected
        tasks = [
            [orjson.loads(text)["headers"]["task"] for text in probe.queued()]
            for probe in (production.ledger, payments)
        ]
        assert tasks == [["act"], [] if isinstance(outcome, Invalid) else ["book"]]
