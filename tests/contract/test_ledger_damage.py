"""The ledger where something is in the way: damage, truncation, late owners."""

import pytest

from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.consumer_ledger import Condition, Refused
from ferry_shared.ledger.keys import Token
from ferry_shared.ledger.redelivery import Transport, stranded
from tests.support.ledger_probe import OTHER_LEDGER, LedgerProbe, wait_until


def test_a_queue_of_another_type_leaves_the_entry_as_it_is(ledger: LedgerProbe) -> None:
    """When the message can't be queued the entry must not read as queued."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.outcome("retry", "0")
    due = ledger.due("0")
    ledger.call("SET", ledger.queue, "somebody else's")
    before = ledger.dump()

    with pytest.raises(Exception, match="WRONGTYPE"):
        ledger.enqueue(due)
    assert ledger.dump() == before


def test_counts_match_when_a_member_is_dispatched_that_exists(ledger: LedgerProbe) -> None:
    """Both counts change by what ZADD has added, also where an entry is there already."""
    ledger.own()
    ledger.dispatch(["0", "1", "2-5-4"])
    ledger.own(1, committed=0)

    ledger.dispatch(["1", "2-5-4", "6"], {"7": "not JSON"})

    assert ledger.members() == ["0", "1", "2-5-4", "6", "7"]
    ledger.assert_counts_match()


def test_after_a_truncation_entries_below_it_keep_their_token(ledger: LedgerProbe) -> None:
    """Entries that survive can still be claimed with their own token once the log has grown again."""
    ledger.own()
    ledger.dispatch([str(offset) for offset in range(11)])
    ledger.own(5, committed=0, drop_from=5)
    ledger.dispatch(["5", "6", "7"])

    assert ledger.claim("3", "1.1").verdict == "run"


def test_after_a_truncation_new_entries_have_their_own_token(ledger: LedgerProbe) -> None:
    """What is dispatched after a truncation has the new epoch's token, whatever was dispatched there before."""
    ledger.own()
    ledger.dispatch([str(offset) for offset in range(11)])
    ledger.own(5, committed=0, drop_from=5)
    ledger.dispatch(["5", "6", "7"])
    ledger.dispatch(["8", "9", "10", "11", "12"])

    assert ledger.claim("8", "2.1").verdict == "run"


def test_a_repaired_ledger_is_not_dropped_by_somebody_late(ledger: LedgerProbe) -> None:
    """Of two that saw a wrong type one makes the ledger anew; the other is refused."""
    ledger.own()
    ledger.call("SET", ledger.keys.inflight, "somebody else's")
    seen = ledger.inspect()
    ledger.own(0, seen=seen, ledger=OTHER_LEDGER, drop=True)
    ledger.dispatch(["0"])

    assert isinstance(ledger.acquire(0, seen=seen, ledger=OTHER_LEDGER[::-1], drop=True), Refused)


@pytest.mark.parametrize(("name", "value"), [("epoch", "x"), ("position", ""), ("committed", "1.5")])
def test_a_head_that_cannot_be_read_is_damaged(ledger: LedgerProbe, name: str, value: str) -> None:
    """A number that isn't one means a lost ledger, not an exception."""
    ledger.own()
    ledger.call("HSET", ledger.keys.head, name, value)
    assert ledger.inspect().condition is Condition.DAMAGED


@pytest.mark.parametrize("field", ["position", "committed", "entries", "messages"])
def test_a_snapshot_of_a_head_that_lacks_a_field_is_refused(ledger: LedgerProbe, field: str) -> None:
    """Without its numbers a head is as good as none: the consumer acquires the ledger again."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("HDEL", ledger.keys.head, field)

    assert consumer_ledger.snapshot(ledger.client, [(ledger.keys, ledger.ownership)], 1) == [Refused(None, None, None)]


@pytest.mark.parametrize("field", ["epoch", "position", "committed", "messages", "topic_id", "cluster_id"])
def test_a_head_that_lacks_anything_is_damaged(ledger: LedgerProbe, field: str) -> None:
    """A head is sound only with all that decides where to go on."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("HDEL", ledger.keys.head, field)
    assert ledger.inspect().condition is Condition.DAMAGED


@pytest.mark.parametrize("text", ["+1.2", " 1.2", "1_0.2", "1.2 ", "\uff11.2", "-1.2", "01.2"])
def test_what_only_looks_like_a_token(text: str) -> None:
    """Only what Ferry would have written is read as a token."""
    with pytest.raises(ValueError, match="no token"):
        Token.parse(text)


def test_clear_of_an_entry_that_did_not_fail(ledger: LedgerProbe) -> None:
    """Only what failed has a dead letter that could end it."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    assert ledger.clear("0") is False


def test_attention_for_nothing_ends(ledger: LedgerProbe) -> None:
    """Members in :attention that aren't in flight would be due at every tick for ever."""
    ledger.own()
    ledger.dispatch([], {"0": "a"})
    ledger.call("ZREM", ledger.keys.inflight, "0")
    ledger.call("HINCRBY", ledger.keys.head, "entries", -1)
    assert ledger.snapshot().due == ()


DAMAGED_STATES = {
    "no JSON": "{",
    "no object": "[1]",
    "nothing": "",
    "nested without end": "[" * 5_000,
    "no token": '{"copy":1,"claims":0,"deliveries":1,"enqueued":1}',
    "a wrong token": '{"token":"x","copy":1,"claims":0,"deliveries":1,"enqueued":1}',
    "a text for a number": '{"token":"1.1","copy":"1","claims":0,"deliveries":1,"enqueued":1}',
    "an owner without a lease": '{"token":"1.1","copy":1,"claims":0,"deliveries":1,"enqueued":1,"owner":"a"}',
    "null for an error": '{"token":"1.1","copy":1,"claims":0,"deliveries":1,"enqueued":1,"error":null}',
}


@pytest.mark.parametrize("text", DAMAGED_STATES.values(), ids=DAMAGED_STATES.keys())
def test_a_state_that_can_not_be_read_ends_as_a_dead_letter(ledger: LedgerProbe, text: str) -> None:
    """Whoever meets it first marks it: here a worker that claims. Nothing is lost, nothing is raised, others go on."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.call("HSET", ledger.keys.state, "0", text)

    assert ledger.claim("0").verdict == "gone"
    due = ledger.due("0")
    assert (due.error or "").startswith("damaged-state: ")
    assert ledger.clear("0", due.token) is True
    assert ledger.claim("1").verdict == "run"
    ledger.assert_counts_match()


def test_a_damaged_state_that_needed_attention_is_found_by_the_snapshot(ledger: LedgerProbe) -> None:
    """A failed entry, a retry and a lease: the partition is not acquired again and again over them."""
    ledger.own()
    ledger.dispatch(["0", "1"], {"2": "not JSON"})
    ledger.claim("0")
    ledger.outcome("retry", "0")
    ledger.claim_with_a_lease_that_is_over("1")
    for member in ("0", "1", "2"):
        ledger.call("HSET", ledger.keys.state, member, "damaged")

    errors = {due.member: due.error for due in ledger.snapshot().due}

    assert set(errors) == {"0", "1", "2"}
    assert all((error or "").startswith("damaged-state: ") for error in errors.values())


@pytest.mark.parametrize("outcome", ["done", "fail", "retry", "release"])
def test_an_outcome_of_a_task_whose_state_is_damaged_is_gone(ledger: LedgerProbe, outcome: str) -> None:
    """The worker acknowledges it like any task that has ended."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.claim("0")
    ledger.call("HSET", ledger.keys.state, "0", "damaged")

    assert ledger.outcome(outcome, "0") == "gone"
    assert (ledger.due("0").error or "").startswith("damaged-state: ")


def test_a_damaged_state_that_nobody_touches_is_found_by_the_search_for_vanished_messages(
    ledger: LedgerProbe,
) -> None:
    """Its message is gone and nothing is due: it must not stay in flight for ever."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("DEL", ledger.queue)
    ledger.call("HSET", ledger.keys.state, "0", "damaged")
    transport = Transport(ledger.queue, "unacked", "stem-", "")
    dispatched = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > dispatched)

    found = stranded(ledger.client, ledger.keys, transport, ledger.ownership, age_ms=0, limit=10).entries

    assert found == ()
    assert (ledger.due("0").error or "").startswith("damaged-state: ")
