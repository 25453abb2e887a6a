"""The scripts `inspect` and `acquire` on a real server."""

import pytest

from ferry_shared.ledger.consumer_ledger import Acquired, Condition, Counted, Ownership, Refused
from ferry_shared.ledger.singles import QueuedSingle
from ferry_shared.ledger.worker_ledger import Recorded
from tests.support.ledger_probe import LEDGER, OTHER_LEDGER, OWNER, LedgerProbe


def test_a_ledger_that_nobody_made_is_absent(ledger: LedgerProbe) -> None:
    """Nothing in Redis reads as absent, without a head."""
    seen = ledger.inspect()

    assert (seen.condition, seen.entries, seen.head) == (Condition.ABSENT, 0, None)


def test_entries_without_a_head_are_absent_too(ledger: LedgerProbe) -> None:
    """What is left of a ledger whose head is gone does not make one."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.call("DEL", ledger.keys.head)

    assert ledger.inspect().condition is Condition.ABSENT


def test_a_ledger_in_order_is_sound(ledger: LedgerProbe) -> None:
    """A head whose count equals the entries reads as sound, with everything it holds."""
    ledger.own(40, topic_id="topic-7", epoch_floor=4)
    ledger.dispatch(["41", "43"])

    seen = ledger.inspect()

    assert (seen.condition, seen.entries) == (Condition.SOUND, 2)
    assert seen.head is not None
    assert (seen.head.format, seen.head.ledger, seen.head.epoch) == ("1", LEDGER, 5)
    assert (seen.head.position, seen.head.committed) == (44, 40)
    assert (seen.head.cluster_id, seen.head.topic_id) == ("cluster-id", "topic-7")


@pytest.mark.parametrize(
    ("name", "value"),
    [("entries", "3"), ("entries", ""), ("format", "2")],
    ids=["another count", "no count", "another format"],
)
def test_a_ledger_that_does_not_add_up_is_damaged(ledger: LedgerProbe, name: str, value: str) -> None:
    """A count that isn't the number of entries, or a format that this version doesn't know, is told."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.call("HSET", ledger.keys.head, name, value)

    seen = ledger.inspect()

    assert (seen.condition, seen.entries) == (Condition.DAMAGED, 2)
    assert seen.head is not None


@pytest.mark.parametrize("field", ["format", "ledger", "entries"])
def test_a_head_that_lacks_a_field_is_damaged(ledger: LedgerProbe, field: str) -> None:
    """A head is only sound with format, ledger and count."""
    ledger.own()
    ledger.call("HDEL", ledger.keys.head, field)

    assert ledger.inspect().condition is Condition.DAMAGED


@pytest.mark.parametrize("key", ["head", "inflight", "state", "times", "attention"])
def test_a_key_of_another_type_is_told(ledger: LedgerProbe, key: str) -> None:
    """Somebody else's value under one of the five keys reads as wrong type, not as an error."""
    ledger.own()
    ledger.call("SET", getattr(ledger.keys, key), "somebody else's")

    seen = ledger.inspect()

    assert (seen.condition, seen.head) == (Condition.WRONG_TYPE, None)


def test_acquiring_creates_a_ledger(ledger: LedgerProbe) -> None:
    """An absent ledger is made with format, id, epoch 1, position, committed and where it belongs."""
    acquired = ledger.acquire(7, committed=5, drop=True)

    assert acquired == Acquired(Ownership(LEDGER, 1), position=7, committed=5, entries=0, dropped=0, messages=0)
    assert ledger.head() == {
        "format": "1", "ledger": LEDGER, "epoch": "1", "position": "7", "committed": "5", "cluster_id": "cluster-id",
        "topic_id": "topic-id", "entries": "0", "messages": "0", "dead_letters": "0",
        "restored": "0", "rewound": "0", "partitions": "0",
    }  # fmt: skip
    assert ledger.inspect().condition is Condition.SOUND


def test_what_is_in_flight_is_told_in_messages_too(ledger: LedgerProbe) -> None:
    """By them the limits of what may be in flight are kept: a batch is one entry, and many messages."""
    ledger.own()
    ledger.dispatch(["0", "1-90-80"])
    acquired = ledger.own(91, committed=0)
    assert (acquired.entries, acquired.messages) == (2, 81)


def test_a_ledger_that_is_created_forgets_what_lay_about(ledger: LedgerProbe) -> None:
    """Entries whose head was lost are dropped with the new ledger, and counted."""
    ledger.own(drop=True)
    ledger.dispatch(["0", "1"], {"2": "not JSON"})
    ledger.call("DEL", ledger.keys.head)

    acquired = ledger.own(drop=True, ledger=OTHER_LEDGER)

    assert (acquired.entries, acquired.dropped) == (0, 3)
    assert (ledger.members(), ledger.members_with_state(), ledger.attention(), ledger.times()) == ([], set(), {}, [])


@pytest.mark.parametrize(("head_epoch", "floor", "epoch"), [(0, 0, 1), (0, 9, 10), (3, 2, 4), (3, 3, 4), (3, 8, 9)])
def test_the_epoch_rises_above_head_and_floor(ledger: LedgerProbe, head_epoch: int, floor: int, epoch: int) -> None:
    """The new epoch is one more than the highest that anybody has seen."""
    if head_epoch:
        ledger.own(epoch_floor=head_epoch - 1)

    acquired = ledger.own(epoch_floor=floor)

    assert acquired.ownership.epoch == epoch
    assert ledger.head()["epoch"] == str(epoch)


def test_every_digit_of_a_large_number_is_kept(ledger: LedgerProbe) -> None:
    """Neither epoch nor offsets are rounded where Lua would print 1e+15."""
    acquired = ledger.own(4_000_000_000_000_001, epoch_floor=1_000_000_000_000_000)
    ledger.dispatch(["4000000000000001"])
    snapshot = ledger.snapshot()

    assert acquired.ownership.epoch == 1_000_000_000_000_001
    assert (snapshot.lowest, snapshot.position) == (4_000_000_000_000_001, 4_000_000_000_000_002)
    assert ledger.claim("4000000000000001", "1000000000000001.1").verdict == "run"


def test_acquiring_is_refused_when_somebody_else_was_faster(ledger: LedgerProbe) -> None:
    """Of two that have read the same head one gets the ledger; the other learns whose it is."""
    ledger.own(3)
    seen = ledger.inspect()
    ledger.own(3, seen=seen)
    before = ledger.dump()

    assert ledger.acquire(3, seen=seen) == Refused(LEDGER, 2, 3)
    assert ledger.dump() == before


def test_creating_is_refused_when_somebody_else_created(ledger: LedgerProbe) -> None:
    """An absent ledger that exists by now is not created again."""
    seen = ledger.inspect()
    ledger.own(ledger=OTHER_LEDGER, drop=True)

    assert ledger.acquire(seen=seen, drop=True) == Refused(OTHER_LEDGER, 1, 0)


@pytest.mark.parametrize("field", ["format", "ledger", "epoch", "position", "committed", "topic_id"])
def test_any_change_of_the_head_since_it_was_read_refuses(ledger: LedgerProbe, field: str) -> None:
    """What an acquisition was decided on must still hold."""
    ledger.own(3)
    seen = ledger.inspect()
    ledger.call("HSET", ledger.keys.head, field, "99")

    assert isinstance(ledger.acquire(3, seen=seen), Refused)


def test_a_task_that_ends_meanwhile_does_not_refuse(ledger: LedgerProbe) -> None:
    """The counts change with every task that is done, also while somebody acquires."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    seen = ledger.inspect()
    ledger.claim("0")
    ledger.outcome("done", "0")

    assert ledger.own(2, seen=seen, committed=0).entries == 1


def test_keeping_a_ledger_keeps_its_entries(ledger: LedgerProbe) -> None:
    """A rebalance leaves tasks in flight as they are: they can be claimed and done with their own token."""
    ledger.own()
    ledger.dispatch(["0", "1"], {"2": "not JSON"})
    ledger.claim("1")

    acquired = ledger.own(3, committed=0)

    assert (acquired.ownership.epoch, acquired.entries, acquired.dropped) == (2, 3, 0)
    assert ledger.outcome("done", "1") == "recorded"
    assert ledger.claim("0").verdict == "run"
    ledger.assert_counts_match()


def test_dropping_forgets_every_entry(ledger: LedgerProbe) -> None:
    """After a rewind old copies are gone, or stale once their offsets are dispatched again."""
    ledger.own(drop=True)
    ledger.dispatch(["0", "1"], {"2": "not JSON"})
    ledger.claim("1")

    acquired = ledger.own(drop=True)

    assert (acquired.entries, acquired.dropped) == (0, 3)
    assert (ledger.members(), ledger.members_with_state(), ledger.attention(), ledger.times()) == ([], set(), {}, [])
    assert ledger.claim("0").verdict == "gone"
    ledger.dispatch(["0"])
    assert ledger.claim("0").verdict == "stale"
    assert ledger.claim("0", "2.1").verdict == "run"
    ledger.assert_counts_match()


def test_entries_below_the_commit_are_dropped(ledger: LedgerProbe) -> None:
    """A Redis that went back in time restores what was committed long ago; a batch that spans the commit stays."""
    ledger.own()
    ledger.dispatch(["1", "2-5-4", "7-12-3", "10", "13"], {"3": "not JSON"})
    ledger.claim("1")

    acquired = ledger.own(14, committed=10)

    assert (acquired.entries, acquired.dropped) == (3, 3)
    assert ledger.members() == ["7-12-3", "10", "13"]
    assert (ledger.members_with_state(), ledger.attention()) == (set(), {})
    ledger.assert_counts_match()


def test_entries_from_an_offset_on_are_dropped(ledger: LedgerProbe) -> None:
    """After Kafka's log was truncated its end is where the entries end."""
    ledger.own()
    ledger.dispatch(["1", "4", "5", "6-9-4"], {"10": "not JSON"})
    ledger.claim("5")

    acquired = ledger.own(5, committed=0, drop_from=5)

    assert (acquired.entries, acquired.dropped) == (2, 3)
    assert ledger.members() == ["1", "4"]
    assert (ledger.members_with_state(), ledger.attention()) == (set(), {})
    ledger.assert_counts_match()


@pytest.mark.parametrize("claimed", [True, False])
def test_a_batch_that_an_offset_cuts_ends_before_it(ledger: LedgerProbe, claimed: bool) -> None:
    """What its worker says of the messages behind it no longer counts, whether or not their offsets are others' yet."""
    ledger.own()
    ledger.dispatch(["1", "4-7-4"])
    if claimed:
        ledger.claim("4-7-4")

    for number, (position, drop_from) in enumerate([(6, 6), (7, 7)]):
        acquired = ledger.own(position, committed=0, drop_from=drop_from)
        assert (acquired.entries, acquired.dropped) == (2, 0), number
    assert ledger.members() == ["1", "4-7-4"]
    assert ledger.attention().keys() == ({"4-7-4"} if claimed else set())

    ledger.claim("4-7-4")
    singles = [QueuedSingle(offset, b"message of %d" % offset) for offset in (4, 5, 6, 7)]
    assert ledger.worker.split(ledger.task("4-7-4"), OWNER, ledger.queue, 0, singles) is Recorded.RECORDED
    assert ledger.members() == ["1", "4", "5"]
    ledger.assert_counts_match()


@pytest.mark.parametrize("key", ["head", "inflight", "state", "times", "attention"])
def test_a_key_of_another_type_is_replaced(ledger: LedgerProbe, key: str) -> None:
    """A ledger of which one key holds something else is lost, and made anew."""
    ledger.own()
    ledger.dispatch(["0"], {"1": "not JSON"})
    ledger.call("SET", getattr(ledger.keys, key), "somebody else's")

    acquired = ledger.own(0, ledger=OTHER_LEDGER, epoch_floor=6, drop=True)

    assert (acquired.ownership, acquired.entries) == (Ownership(OTHER_LEDGER, 7), 0)
    assert ledger.inspect().condition is Condition.SOUND
    ledger.dispatch(["0"])
    ledger.assert_counts_match()


def test_counts_outlive_a_drop(ledger: LedgerProbe) -> None:
    """Dead letters, restored copies and rewound offsets count on when an operator rewinds."""
    ledger.own()
    ledger.dispatch(["0"], {"1": "not JSON"})
    ledger.claim("0", restored=True)
    ledger.clear("1")

    ledger.own(0, drop=True, rewound=2)
    ledger.own(0, drop=True, rewound=3, ledger=OTHER_LEDGER)

    seen = ledger.snapshot()
    assert (seen.dead_letters, seen.restored, seen.rewound) == (1, 1, 5)


def test_counts_that_redis_forgot_are_those_that_the_consumer_remembers(ledger: LedgerProbe) -> None:
    """After a FLUSHALL the counters don't go back; what Redis knows better stays."""
    ledger.own()
    ledger.claim("0", restored=True)
    ledger.client.flushall()
    ledger.own(counted=Counted(7, 5, 2), rewound=10)
    ledger.own(counted=Counted(6, 9, 2))

    seen = ledger.snapshot()
    assert (seen.dead_letters, seen.restored, seen.rewound) == (7, 9, 12)


@pytest.mark.parametrize("nonsense", ["x", "-1", "", "9" * 30])
def test_counts_that_are_no_numbers_count_as_none(ledger: LedgerProbe, nonsense: str) -> None:
    """A damaged count must not keep the ledger from being taken up."""
    ledger.own()
    for name in ("dead_letters", "restored", "rewound"):
        ledger.call("HSET", ledger.keys.head, name, nonsense)
    ledger.own(rewound=1)

    assert ledger.snapshot().rewound == 1
