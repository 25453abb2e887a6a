"""The script `skip` on a real server: an operator ends an entry without its lease."""

import pytest

from ferry_shared.ledger.skipping import Skipped, skip
from tests.support.ledger_probe import MINUTE_MS, OTHER_OWNER, LedgerProbe

ERROR = "skipped: by alice@host"


def skipped(ledger: LedgerProbe, member: str = "0") -> Skipped:
    """Skip."""
    return skip(ledger.client, ledger.keys, member, ERROR)


def test_what_waits_in_the_queue_becomes_a_dead_letter(ledger: LedgerProbe) -> None:
    """It is due at once; its message in the queue is gone for the worker that takes it."""
    ledger.own()
    ledger.dispatch(["0", "1"])

    assert skipped(ledger) == "skipped"
    due = ledger.due("0")
    assert (due.error, due.token, due.claims, due.retry_due) == (ERROR, "1.1", 0, False)
    assert ledger.claim("0").verdict == "gone"
    assert ledger.clear("0") is True
    assert ledger.members() == ["1"]
    ledger.assert_counts_match()


@pytest.mark.parametrize("outcome", ["done", "fail", "retry", "release"])
def test_whatever_a_worker_says_afterwards_is_gone(ledger: LedgerProbe, outcome: str) -> None:
    """It goes on running, and its outcome no longer counts."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")

    assert skipped(ledger) == "skipped"
    assert ledger.outcome(outcome, "0") == "gone"
    assert ledger.claim("0", owner=OTHER_OWNER).verdict == "gone"
    assert ledger.due("0").error == ERROR


def test_a_retry_that_waits_is_not_queued_any_more(ledger: LedgerProbe) -> None:
    """Neither now nor when it would have been due; what it stored stays, should Kafka have lost the record."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.worker.retry(ledger.task("0"), "owner-a", MINUTE_MS, b"later")

    assert skipped(ledger) == "skipped"
    due = ledger.due("0")
    assert (due.error, due.token, due.retry_due) == (ERROR, "1.2", False)
    assert ledger.enqueue(due) is False
    assert ledger.stored_payload("0") == b"later"


def test_what_has_failed_keeps_its_own_error(ledger: LedgerProbe) -> None:
    """Its dead letter tells the truth."""
    ledger.own()
    ledger.dispatch([], {"0": "not JSON"})

    assert skipped(ledger) == "failed"
    assert ledger.due("0").error == "not JSON"


def test_what_is_not_in_flight_is_gone(ledger: LedgerProbe) -> None:
    """Done, or never dispatched: nothing is written."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.outcome("done", "0")
    before = ledger.dump()

    assert (skipped(ledger), skipped(ledger, "7")) == ("gone", "gone")
    assert ledger.dump() == before


@pytest.mark.parametrize("damage", ["no head", "another format", "another type"])
def test_without_a_ledger_nothing_is_skipped(ledger: LedgerProbe, damage: str) -> None:
    """Only a consumer makes a ledger."""
    if damage == "another format":
        ledger.own()
        ledger.call("HSET", ledger.keys.head, "format", "2")
    elif damage == "another type":
        ledger.call("SET", ledger.keys.head, "somebody else's")
    before = ledger.dump()

    assert skipped(ledger) == "no-ledger"
    assert ledger.dump() == before


def test_a_rebalance_does_not_undo_it(ledger: LedgerProbe) -> None:
    """The next owner of the partition writes the dead letter."""
    ledger.own()
    ledger.dispatch(["0"])
    skipped(ledger)
    ledger.own(1, committed=0)

    assert ledger.due("0").error == ERROR
