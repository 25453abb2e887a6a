"""Claim, run, record: every verdict, every end of a task, and a Redis whose replies get lost."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry, SoftTimeLimitExceeded
from pydantic import BaseModel

from ferry_shared.ledger.worker_ledger import Recorded, Verdict
from ferry_worker.attempt import HAND_BACK_DELAY_SECONDS, error_text
from tests.unit.worker.fake_ledger import FIELDS, Bench

PAYLOAD = '{"number": 5}'


class Order(BaseModel):
    """A message."""

    number: int


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with default settings."""
    return Bench(monkeypatch)


def raising(error: BaseException) -> Callable[[Order], None]:
    """Return a task's function that raises."""

    def task(order: Order) -> None:
        raise error

    return task


def test_claim_run_done(bench: Bench) -> None:
    """A task that may run gets its model, and is done after it returned; that is all Redis hears."""
    state, result = bench.run(bench.task(lambda order: order), PAYLOAD)
    assert (state, result) == ("SUCCESS", {"number": 5})
    assert bench.ledger.calls == [
        ("claim", "owner", {"lease_ms": 315_000, "max_claims": 3, "restored": False}),
        ("done", "owner"),
    ]


def test_the_lease_follows_the_tasks_own_limit(bench: Bench) -> None:
    """A task with a hard limit of its own holds its claim that long, and the margin."""
    bench.run(bench.task(lambda order: None, time_limit=10), PAYLOAD, delivery_info={"redelivered": True})
    assert bench.ledger.named("claim") == [({"lease_ms": 25_000, "max_claims": 3, "restored": True},)]


@pytest.mark.parametrize("verdict", [Verdict.GONE, Verdict.BUSY, Verdict.STALE])
def test_other_verdicts_do_not_run(bench: Bench, verdict: Verdict) -> None:
    """A task that may not run is acknowledged, and nothing is recorded."""
    bench.ledger.verdict = verdict
    state, _ = bench.run(bench.task(raising(AssertionError("it ran"))), PAYLOAD)
    assert (state, bench.ledger.names) == ("IGNORED", ["claim"])


def test_poison_fails(bench: Bench) -> None:
    """A task that started too often without an end fails without running."""
    bench.ledger.verdict, bench.ledger.claims = Verdict.POISON, 4
    state, _ = bench.run(bench.task(raising(AssertionError("it ran"))), PAYLOAD)
    assert (state, bench.ledger.named("fail")) == (
        "FAILURE",
        [("poison: started 3 times and never ended", PAYLOAD.encode())],
    )


def test_no_ledger_of_an_unseen_group_goes_back(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Before the first ledger of a group was seen, a message without one is given back after a pause."""
    bench.ledger.verdict = Verdict.NO_LEDGER
    state, outcome = bench.run(bench.task(lambda order: None), PAYLOAD)
    assert (state, outcome.requeue) == ("REJECTED", True)
    assert bench.slept == [HAND_BACK_DELAY_SECONDS]
    assert "FERRY_LEDGER_URL" in caplog.text


def test_no_ledger_of_a_seen_group_is_skipped(bench: Bench) -> None:
    """Once a ledger of the group was seen, a missing one means that Redis lost it: the message has served."""
    task = bench.task(lambda order: None)
    bench.run(task, PAYLOAD)
    bench.ledger.verdict = Verdict.NO_LEDGER
    state, _ = bench.run(task, PAYLOAD)
    assert (state, bench.slept) == ("IGNORED", [])


@pytest.mark.parametrize("fields", [{"v": 2}, {"v": 1}, {}, "text", {**FIELDS, "v": None}])
def test_an_unreadable_header_goes_back(bench: Bench, fields: Any) -> None:
    """A header of another version is left to a worker that can read it."""
    state, outcome = bench.run(bench.task(raising(AssertionError("it ran"))), PAYLOAD, fields=fields)
    assert (state, outcome.requeue, bench.ledger.calls) == ("REJECTED", True, [])


def test_a_wrong_annotation_makes_no_dead_letters(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A task whose parameter can't be built gives its messages back, unclaimed, and an ERROR says why."""

    def task(order: Any) -> None: ...

    task.__annotations__["order"] = "Missing"
    state, outcome = bench.run(bench.task(task), PAYLOAD)
    assert (state, outcome.requeue, bench.ledger.calls) == ("REJECTED", True, [])
    assert "the type of 'order' can't be used" in caplog.text


def test_without_header_it_is_a_plain_task(bench: Bench) -> None:
    """Arguments arrive as Celery has them and the ledger hears nothing."""
    result = bench.run(bench.task(lambda order: order), {"number": 5}, fields=None)
    assert (result, bench.ledger.calls) == (("SUCCESS", {"number": 5}), [])


def test_a_task_that_calls_itself_is_recorded_once(bench: Bench) -> None:
    """A task called as a function inside of a task, itself included, is a function."""

    def countdown(self: Any, order: int) -> int:
        return order if order == 0 else self(order - 1)

    assert bench.run(bench.task(countdown, bind=True), "3") == ("SUCCESS", 0)
    assert bench.ledger.names == ["claim", "done"]


@pytest.mark.parametrize(
    ("raised", "state", "call"),
    [
        (ValueError("no"), "FAILURE", ("fail", "ValueError: no")),
        (SoftTimeLimitExceeded(), "FAILURE", ("fail", "SoftTimeLimitExceeded")),
        (MemoryError(), "FAILURE", ("fail", "MemoryError")),
        (Ignore(), "IGNORED", ("done",)),
        (Reject("no use"), "REJECTED", ("fail", "Reject: no use")),
        (Reject(ValueError("no use")), "REJECTED", ("fail", "ValueError: no use")),
        (Reject("later", requeue=True), "REJECTED", None),
        (Retry("bare"), "RETRY", ("fail", "Retry: raised without self.retry(), nothing would run it again")),
    ],
    ids=repr,
)
def test_each_end_of_a_task(bench: Bench, raised: Exception, state: str, call: tuple[str, ...] | None) -> None:
    """What a task raises decides what the ledger records; Celery's own state is untouched."""
    ended, outcome = bench.run(bench.task(raising(raised)), PAYLOAD)
    recorded = [(name, *arguments[1:2]) for name, *arguments in bench.ledger.calls[1:]]
    assert (ended, recorded) == (state, [call] if call else [])
    assert outcome is raised


def test_a_payload_that_does_not_fit_fails(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is recorded with the place of the problem, without running, and never logged."""
    state, _ = bench.run(bench.task(raising(AssertionError("it ran"))), '{"number": "secret"}')
    ((error, payload),) = bench.ledger.named("fail")
    assert (state, payload) == ("FAILURE", b'{"number": "secret"}')
    assert error.startswith("InvalidPayload: number: ")
    assert "secret" not in caplog.text + error


def test_lost_replies_are_asked_for_again(bench: Bench) -> None:
    """After a lost reply the call is made again, and gone means that the first one was recorded."""
    bench.ledger.lost, bench.ledger.recorded = 3, Recorded.GONE
    state, _ = bench.run(bench.task(lambda order: None), PAYLOAD)
    assert (state, bench.ledger.names) == ("SUCCESS", ["claim"] * 4 + ["done"])
    assert bench.slept == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("lost", "reply", "warned"),
    [(0, Recorded.GONE, True), (1, Recorded.GONE, False), (1, Recorded.STALE, False), (1, Recorded.NOT_OWNER, True)],
)
def test_an_outcome_of_somebody_else_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture, lost: int, reply: Recorded, warned: bool
) -> None:
    """That an outcome was refused is a warning, unless it was our own lost reply."""

    def lose_replies(order: Order) -> None:
        bench.ledger.lost, bench.ledger.recorded = lost, reply

    bench.run(bench.task(lose_replies), PAYLOAD)
    assert ("was not recorded" in caplog.text) is warned


@pytest.mark.parametrize("during", ["claim", "done"])
def test_a_redis_that_stays_away_gives_the_message_back(monkeypatch: pytest.MonkeyPatch, during: str) -> None:
    """After the bounded wait the message goes back to the queue."""
    bench = Bench(monkeypatch, worker_redis_wait_seconds=0)

    def lose_replies(order: Order) -> None:
        bench.ledger.lost = 99

    bench.ledger.lost = 99 if during == "claim" else 0
    state, outcome = bench.run(bench.task(lose_replies), PAYLOAD)
    assert (state, outcome.requeue, bench.ledger.names[-1]) == ("REJECTED", True, during)


def test_the_soft_limit_during_the_record_does_not_undo_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A soft time limit that strikes while the end is recorded doesn't make a failure of it."""
    strikes = [SoftTimeLimitExceeded()]
    done = bench.ledger.done

    def struck(*arguments: Any) -> Recorded:
        recorded = done(*arguments)
        if strikes:
            raise strikes.pop()
        return recorded

    monkeypatch.setattr(bench.ledger, "done", struck)
    assert bench.run(bench.task(lambda order: "result"), PAYLOAD) == ("SUCCESS", "result")
    assert bench.ledger.names == ["claim", "done", "done"]


def retried(bench: Bench) -> tuple[int, dict[str, Any], Any]:
    """Return the delay of the only retry, what it stored, and the arguments inside."""
    ((delay_ms, message),) = bench.ledger.named("retry")
    stored = json.loads(message)
    return delay_ms, stored, json.loads(stored["body"])


def test_retry_is_recorded_instead_of_published(bench: Bench) -> None:
    """`self.retry` stores the message's body, counts, and raises Retry; nothing else is recorded."""

    def task(self: Any, order: Order) -> None:
        self.retry(countdown=1.5)

    state, outcome = bench.run(bench.task(task, bind=True), PAYLOAD, retries=1)
    delay_ms, stored, body = retried(bench)
    assert (state, type(outcome), bench.ledger.names) == ("RETRY", Retry, ["claim", "retry"])
    assert (delay_ms, stored["retries"], stored["timestamp_ms"]) == (1_500, 2, FIELDS["timestamp_ms"])
    assert body == [[PAYLOAD], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


@pytest.mark.parametrize(
    ("changes", "args", "kwargs"),
    [
        ({}, [PAYLOAD], {}),
        ({"args": (Order(number=6),)}, ['{"number":6}'], {}),
        ({"args": ({"number": 6}, "x")}, ['{"number":6}', "x"], {}),
        ({"kwargs": {"extra": "x"}}, [PAYLOAD], {"extra": "x"}),
        ({"kwargs": {"order": Order(number=6)}}, ['{"number":6}'], {}),
        ({"args": (), "kwargs": {"order": Order(number=6), "extra": "x"}}, ['{"number":6}'], {"extra": "x"}),
    ],
)
def test_a_retry_can_change_the_arguments(bench: Bench, changes: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Changed arguments are stored as a message carries them: first the payload as JSON text."""

    def task(self: Any, order: Order, extra: str = "") -> None:
        self.retry(**changes)

    bench.run(bench.task(task, bind=True), PAYLOAD)
    _, _, body = retried(bench)
    assert body[:2] == [args, kwargs]


def test_a_text_argument_is_a_value_and_not_json(bench: Bench) -> None:
    """A str passed to retry for a str parameter comes back as that str, also when it looks like the payload."""
    payload = json.dumps("text")

    def task(self: Any, text: str) -> None:
        self.retry(args=('"text"',))

    bench.run(bench.task(task, bind=True), payload)
    _, _, body = retried(bench)
    assert json.loads(body[0][0]) == '"text"'


def test_an_eta_becomes_a_delay(bench: Bench) -> None:
    """A moment, aware or as ISO text, is turned into the delay until then; one that has passed into none."""

    def task(self: Any, order: Order) -> None:
        self.retry(eta=datetime.now(UTC) + timedelta(seconds=60))

    bench.run(bench.task(task, bind=True), PAYLOAD)
    assert 55_000 < retried(bench)[0] <= 60_000


def test_max_retries_fail(bench: Bench) -> None:
    """At the last retry Celery's own exception is raised, and recorded as the failure."""

    def task(self: Any, order: Order) -> None:
        self.retry()

    state, outcome = bench.run(bench.task(task, bind=True, max_retries=2), PAYLOAD, retries=2)
    assert (state, type(outcome), bench.ledger.names) == ("FAILURE", MaxRetriesExceededError, ["claim", "fail"])


def test_retry_without_throwing_is_the_outcome(bench: Bench) -> None:
    """After `retry(throw=False)` the task's return, or what it raises, records nothing more."""

    def task(self: Any, order: Order) -> str:
        self.retry(throw=False)
        return "and on"

    assert bench.run(bench.task(task, bind=True), PAYLOAD) == ("SUCCESS", "and on")
    assert bench.ledger.names == ["claim", "retry"]


def test_autoretry_is_recorded(bench: Bench) -> None:
    """`autoretry_for` goes the same way, with the task's delay and its annotation."""
    error = ConnectionError("later")
    task = bench.task(raising(error), autoretry_for=(ConnectionError,), default_retry_delay=7)
    state, _ = bench.run(task, PAYLOAD)
    assert (state, retried(bench)[0]) == ("RETRY", 7_000)


def test_a_retry_that_can_not_be_stored_gives_the_message_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is away for the retry's record must neither lose the message nor make it a dead letter."""
    bench = Bench(monkeypatch, worker_redis_wait_seconds=0)

    def task(self: Any, order: Order) -> None:
        bench.ledger.lost = 1
        self.retry()

    state, outcome = bench.run(bench.task(task, bind=True), PAYLOAD)
    assert (state, outcome.requeue) == ("REJECTED", True)


def test_a_retry_whose_arguments_are_not_json_fails(bench: Bench) -> None:
    """Arguments that no message can carry are a failure, not a lost message."""

    def task(self: Any, order: Any) -> None:
        self.retry(args=(object(),))

    state, _ = bench.run(bench.task(task, bind=True), PAYLOAD)
    assert (state, bench.ledger.names) == ("FAILURE", ["claim", "fail"])


class Unprintable(Exception):
    """An error whose text can't be made."""

    def __str__(self) -> str:
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("text"), "ValueError: text"),
        (ValueError(), "ValueError"),
        (ValueError("\ud800"), r"ValueError: \ud800"),
        (Unprintable(), "Unprintable: (its text can't be read: RuntimeError)"),
    ],
)
def test_error_text_can_always_be_stored(error: Exception, text: str) -> None:
    """Whatever an exception's text is, Redis gets a bounded string in UTF-8."""
    assert error_text(error) == text
    assert error_text(error).encode()


def test_error_text_is_bounded() -> None:
    """A text of any length fits into a dead letter's header."""
    assert len(error_text(ValueError("x" * 10_000_000))) == 2_000
