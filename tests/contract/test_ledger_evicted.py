"""One of a ledger's keys is gone, as an evicting Redis takes it: the rest must not wait for it for ever."""

import pytest

from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.redelivery import Redelivered, Transport, redeliver, stranded
from tests.support.ledger_probe import LEDGER, LedgerProbe, wait_until

UNACKED = "unacked-of-this-test"


def transport(ledger: LedgerProbe) -> Transport:
    """Where this ledger's messages are."""
    return Transport(ledger.queue, UNACKED, "topic-0-", "")


def look(ledger: LedgerProbe) -> list[str]:
    """The search for messages that vanished, among all that are older than this moment."""
    now = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > now)
    found = stranded(ledger.client, ledger.keys, transport(ledger), ledger.ownership, age_ms=0, limit=10).entries
    return [entry.member for entry in found]


def test_without_times_the_ledger_is_damaged(ledger: LedgerProbe) -> None:
    """Nobody knows the tokens any more: every copy would count as stale, and no search would find its entry."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    assert ledger.snapshot().sound
    assert ledger.inspect().condition is Condition.SOUND
    ledger.call("DEL", ledger.keys.times)
    assert not ledger.snapshot().sound
    assert ledger.inspect().condition is Condition.DAMAGED


def test_without_entries_there_are_no_times_to_miss(ledger: LedgerProbe) -> None:
    """An idle ledger is sound."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.outcome("done", "0")
    ledger.committed(1)
    assert ledger.call("EXISTS", ledger.keys.times) == 0
    assert ledger.snapshot().sound
    assert ledger.inspect().condition is Condition.SOUND


def test_an_acquisition_forgets_the_times_of_what_is_committed(ledger: LedgerProbe) -> None:
    """A Redis that went back has them again, and perhaps no later commit comes that would remove them."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.own(2, committed=2)
    assert ledger.members() == []
    assert ledger.call("EXISTS", ledger.keys.times) == 0


@pytest.mark.parametrize("outcome", ["fail", "retry"])
def test_without_attention_failures_and_retries_are_found_again(ledger: LedgerProbe, outcome: str) -> None:
    """The search for vanished messages sees them and puts them back where the consumer looks."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.outcome(outcome, "0")
    ledger.call("DEL", ledger.keys.attention)
    ledger.call("DEL", ledger.queue)
    assert ledger.snapshot().due == ()
    assert look(ledger) == []
    due = ledger.due("0")
    assert (due.error is not None, due.retry_due) == (outcome == "fail", outcome == "retry")


def test_the_search_leaves_a_retry_that_is_not_due_where_it_is(ledger: LedgerProbe) -> None:
    """Its time in :attention stays what it was."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.worker.retry(ledger.task("0"), "owner-a", 60_000, b"payload")
    ledger.call("DEL", ledger.queue)
    before = ledger.attention()
    assert look(ledger) == []
    assert ledger.attention() == before
    ledger.call("DEL", ledger.keys.attention)
    look(ledger)
    assert ledger.attention() == before


def test_without_the_index_a_reserved_message_counts_as_vanished(ledger: LedgerProbe) -> None:
    """kombu hands back what its index of reserved messages names; the message alone stays where it is for ever."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("DEL", ledger.queue)
    tag = f"{LEDGER}/topic-0-0/{ledger.ownership.epoch}.1.1"
    ledger.call("HSET", UNACKED, tag, "message")
    ledger.call("ZADD", f"{UNACKED}_index", 1, tag)
    assert look(ledger) == []
    ledger.call("DEL", f"{UNACKED}_index")
    assert look(ledger) == ["0"]

    (entry,) = stranded(ledger.client, ledger.keys, transport(ledger), ledger.ownership, age_ms=0, limit=10).entries
    reply = redeliver(
        ledger.client, ledger.keys, transport(ledger), ledger.ownership, entry,
        message=b"the next copy", age_ms=0, max_deliveries=5, error="",
    )  # fmt: skip
    assert reply is Redelivered.ENQUEUED
    assert ledger.call("EXISTS", UNACKED) == 0, "what nobody hands back must not stay in Redis"
