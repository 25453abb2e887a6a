"""The scripts `snapshot` and `committed` on a real server."""

import pytest

from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.consumer_ledger import Ownership, Refused, Snapshot
from tests.support.ledger_probe import LEDGER, MINUTE_MS, LedgerProbe, wait_until


def test_an_idle_ledger(ledger: LedgerProbe) -> None:
    """With nothing in flight there is neither a lowest entry nor an oldest time."""
    ledger.own(9, committed=4, drop=True)
    before = ledger.now_ms()

    seen = ledger.snapshot()

    assert (seen.position, seen.committed, seen.entries, seen.messages, seen.dead_letters) == (9, 4, 0, 0, 0)
    assert (seen.sound, seen.lowest, seen.oldest_ms, seen.due) == (True, None, 0, ())
    assert before <= seen.now_ms <= ledger.now_ms()


def test_the_lowest_entry_and_its_dispatch_time(ledger: LedgerProbe) -> None:
    """The lowest entry decides the commit; its age is that of the call that dispatched it."""
    ledger.own()
    ledger.dispatch(["3", "4"])
    first_call_ms = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > first_call_ms)
    ledger.dispatch(["5-9-3"])
    before = ledger.snapshot()
    ledger.claim("3")
    ledger.outcome("done", "3")
    ledger.claim("4")
    ledger.outcome("done", "4")
    after = ledger.snapshot()

    assert (before.position, before.lowest, before.entries, before.messages) == (10, 3, 3, 5)
    assert (after.position, after.lowest, after.entries, after.messages) == (10, 5, 1, 3)
    assert 0 < before.oldest_ms <= first_call_ms < after.oldest_ms <= after.now_ms


def test_an_entry_that_was_overtaken_stays_the_lowest(ledger: LedgerProbe) -> None:
    """Later tasks may end first: the lowest entry holds the commit back."""
    ledger.own()
    ledger.dispatch(["0", "1", "2"])
    for member in ("2", "1"):
        ledger.claim(member)
        ledger.outcome("done", member)

    assert ledger.snapshot().lowest == 0


def test_only_what_is_due_is_returned(ledger: LedgerProbe) -> None:
    """An invalid record, a failure and a retry that is due; nothing that still has time or that only lost its lease."""
    ledger.own()
    ledger.dispatch(["0", "1", "2", "3", "4", "5"], {"6": "not JSON"})
    ledger.claim("0")
    ledger.outcome("fail", "0")
    ledger.claim("1")
    ledger.outcome("retry", "1")
    ledger.claim("2")
    ledger.worker.retry(ledger.task("2"), "owner-a", MINUTE_MS, b"later")
    ledger.claim_with_a_lease_that_is_over("3")
    ledger.claim("4")

    due = {entry.member: entry for entry in ledger.snapshot().due}

    assert set(due) == {"0", "1", "6"}
    assert (due["0"].error, due["0"].payload, due["0"].claims, due["0"].retry_due) == (
        "ValueError: no", b"", 1, False,
    )  # fmt: skip
    assert ledger.stored_payload("0") == b"payload", "it is read only when Kafka no longer has the record"
    assert (due["1"].token, due["1"].copy, due["1"].retry_due, due["1"].payload) == ("1.2", 0, True, b"payload")
    assert (due["6"].token, due["6"].error, due["6"].deliveries, due["6"].payload) == ("1.1", "not JSON", 0, b"")


def test_a_lease_that_is_over_makes_room_for_failures(ledger: LedgerProbe) -> None:
    """Whether its message is lost is found out elsewhere: it is put off, and nothing due waits behind it."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.claim_with_a_lease_that_is_over("0")
    ledger.claim("1")
    ledger.outcome("fail", "1")

    assert ledger.snapshot(limit=1).due == ()
    assert [entry.member for entry in ledger.snapshot(limit=1).due] == ["1"]
    assert ledger.attention()["0"] > ledger.now_ms()


def test_what_is_due_longest_comes_first_up_to_the_limit(ledger: LedgerProbe) -> None:
    """A snapshot returns at most `limit` entries; the rest stays due."""
    ledger.own()
    ledger.dispatch([], {str(offset): "not JSON" for offset in range(5)})

    assert [entry.member for entry in ledger.snapshot(limit=2).due] == ["0", "1"]
    assert len(ledger.snapshot(limit=5).due) == 5


def test_counts_that_do_not_match_are_told(ledger: LedgerProbe) -> None:
    """A restored or half lost Redis shows in a count that is not the number of entries."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.call("ZREM", ledger.keys.inflight, "1")

    assert ledger.snapshot().sound is False


def test_a_ledger_that_is_gone_is_refused(ledger: LedgerProbe) -> None:
    """After a FLUSHALL a snapshot says so instead of showing an empty ledger."""
    ledger.own()
    ledger.client.flushall()

    assert consumer_ledger.snapshot(ledger.client, [(ledger.keys, ledger.ownership)], 1) == [Refused(None, None, None)]


@pytest.mark.parametrize("who", ["other ledger", "older epoch", "later epoch"])
def test_another_owner_is_refused(ledger: LedgerProbe, who: str) -> None:
    """Commits are computed from one's own ledger only."""
    ledger.own(3)
    other = ledger.stale_owners()[who]

    assert consumer_ledger.snapshot(ledger.client, [(ledger.keys, other)], 1) == [
        Refused(ledger.ownership.ledger, 1, 3)
    ]


def test_several_ledgers_in_one_round_trip(ledger: LedgerProbe, redis_url: str, group: str) -> None:
    """A ledger whose key has another type is told as an error and does not hide the others."""
    ledger.own()
    with LedgerProbe(redis_url, group, "another") as other:
        other.own(4)
        other.call("SET", other.keys.inflight, "somebody else's")
        owned = [(other.keys, other.ownership), (ledger.keys, ledger.ownership)]

        damaged, sound = consumer_ledger.snapshot(ledger.client, owned, 1)

        assert isinstance(damaged, Exception)
        assert isinstance(sound, Snapshot)


def test_committed_is_recorded_and_times_below_it_are_trimmed(ledger: LedgerProbe) -> None:
    """Dispatch calls that end below the commit are no longer asked for."""
    ledger.own()
    for members in (["0", "1"], ["2", "3"], ["4", "5"]):
        ledger.dispatch(members)

    assert ledger.committed(3) is True
    assert ledger.head()["committed"] == "3"
    assert ledger.times() == ["3 epoch 1", "5 epoch 1"]
    assert ledger.snapshot().committed == 3


def test_trimming_keeps_the_token_of_entries_that_nobody_has_claimed(ledger: LedgerProbe) -> None:
    """An entry without a state finds its token in the dispatch that made it, also after trimming and a rebalance."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.dispatch(["2", "3", "4"])
    ledger.own(5, committed=0)
    ledger.dispatch(["5", "6"])

    assert ledger.committed(4) is True
    assert ledger.times() == ["4 epoch 1", "6 epoch 2"]
    assert ledger.claim("4", "1.1").verdict == "run"
    assert ledger.claim("5", "1.1").verdict == "stale"
    assert ledger.claim("5", "2.1").verdict == "run"


@pytest.mark.parametrize("who", ["other ledger", "older epoch", "later epoch"])
def test_committed_of_another_owner_is_refused(ledger: LedgerProbe, who: str) -> None:
    """A consumer that has lost the partition changes nothing."""
    ledger.own()
    ledger.dispatch(["0"])
    before = ledger.dump()

    assert ledger.as_other(ledger.stale_owners()[who]).committed(1) is False
    assert ledger.dump() == before


def test_committed_without_a_head_is_refused(ledger: LedgerProbe) -> None:
    """Only `acquire` makes a ledger."""
    ledger.own()
    ledger.client.flushall()

    assert ledger.committed(1) is False
    assert ledger.dump() == {}


def test_what_was_postponed_lets_others_come_first(ledger: LedgerProbe) -> None:
    """A dead letter that Kafka refuses must not stand before those that it takes; an entry that is gone stays gone."""
    ledger.own()
    ledger.dispatch([], {"0": "refused", "1": "taken"})
    consumer_ledger.postpone(ledger.client, ledger.keys, ledger.ownership, "0", MINUTE_MS)
    consumer_ledger.postpone(ledger.client, ledger.keys, ledger.ownership, "7", MINUTE_MS)
    assert [due.member for due in ledger.snapshot().due] == ["1"]
    assert set(ledger.attention()) == {"0", "1"}


def test_only_the_owner_postpones(ledger: LedgerProbe) -> None:
    """A consumer that was replaced changes nothing."""
    ledger.own()
    ledger.dispatch([], {"0": "refused"})
    replaced = Ownership(LEDGER, ledger.ownership.epoch - 1)
    consumer_ledger.postpone(ledger.client, ledger.keys, replaced, "0", MINUTE_MS)
    assert [due.member for due in ledger.snapshot().due] == ["0"]
