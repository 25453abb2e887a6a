"""The script `dispatch` on a real server."""

import pytest

from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.ledger import dispatches
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.consumer_ledger import Refused
from ferry_shared.ledger.dispatches import Dispatched
from tests.support.ledger_probe import LEDGER, LedgerProbe, payload_of

KINDS = {"inflight": "zset", "state": "hash", "times": "zset", "attention": "zset"}


def test_entries_are_recorded_and_queued_in_order(ledger: LedgerProbe) -> None:
    """Entries, position and counts stand in the ledger, the messages in the queue, first offset first."""
    ledger.own(5, drop=True)

    reply = ledger.dispatch(["5", "6", "9"])

    assert reply == Dispatched(position=10, entries=3, queue_length=3)
    assert ledger.members() == ["5", "6", "9"]
    assert ledger.queued() == [payload_of(member) for member in ("5", "6", "9")]
    assert ledger.times() == ["9 epoch 1"]
    assert (ledger.members_with_state(), ledger.attention()) == (set(), {})
    assert ledger.head()["position"] == "10"
    ledger.assert_counts_match()


def test_a_second_dispatch_goes_on_at_the_position_of_the_first(ledger: LedgerProbe) -> None:
    """The position that the first call returned is what the second expects."""
    ledger.own()
    ledger.dispatch(["0", "1"])

    assert ledger.dispatch(["2"]) == Dispatched(position=3, entries=3, queue_length=3)
    assert ledger.queued() == [payload_of(member) for member in ("0", "1", "2")]
    assert ledger.times() == ["1 epoch 1", "2 epoch 1"]


def test_a_gap_in_the_offsets_is_fine(ledger: LedgerProbe) -> None:
    """Transaction markers and compaction leave gaps: a first offset above the position is no refusal."""
    ledger.own()
    ledger.dispatch(["0"])

    assert ledger.dispatch(["17", "30"]).position == 31


def test_a_dispatch_without_entries_moves_the_position(ledger: LedgerProbe) -> None:
    """At the partition's end only the position moves."""
    ledger.own()
    ledger.dispatch(["0"])

    assert ledger.dispatch(next_position=8) == Dispatched(position=8, entries=1, queue_length=1)
    assert (ledger.members(), ledger.times(), len(ledger.queued())) == (["0"], ["0 epoch 1"], 1)
    ledger.assert_counts_match()


def test_a_batch_counts_its_messages(ledger: LedgerProbe) -> None:
    """A batch is one entry and as many messages as its member says."""
    ledger.own()

    assert ledger.dispatch(["0", "1-20-12", "21"]) == Dispatched(position=22, entries=3, queue_length=3)
    assert (ledger.counts().messages, ledger.snapshot().messages) == (14, 14)
    ledger.assert_counts_match()


def test_invalid_records_become_entries_with_an_error(ledger: LedgerProbe) -> None:
    """An invalid record is in flight, has its error and needs attention at once; nothing is queued for it."""
    ledger.own()
    before = ledger.now_ms()

    ledger.dispatch(["1"], {"0": "invalid: not JSON", "2": 'invalid: "text" é \x1b\n missing'})

    assert ledger.members() == ["0", "1", "2"]
    assert ledger.queued() == [payload_of("1")]
    state = ledger.state("2")
    assert (state["token"], state["error"]) == ("1.1", 'invalid: "text" é \x1b\n missing')
    assert (state["copy"], state["claims"], state["deliveries"]) == (0, 0, 0)
    assert set(ledger.attention()) == {"0", "2"}
    assert all(before <= time <= ledger.now_ms() for time in ledger.attention().values())
    ledger.assert_counts_match()


def test_only_invalid_records_queue_nothing(ledger: LedgerProbe) -> None:
    """A dispatch of nothing but invalid records makes no queue."""
    ledger.own()

    assert ledger.dispatch([], {"0": "a", "1": "b"}) == Dispatched(position=2, entries=2, queue_length=0)
    assert ledger.queued() == []
    ledger.assert_counts_match()


def test_without_a_head_it_is_refused(ledger: LedgerProbe) -> None:
    """After a FLUSHALL nothing is written: a missing head is never accepted silently."""
    ledger.own()
    ledger.client.flushall()

    assert ledger.send(ledger.dispatch_call(["0"])) == Refused(None, None, None)
    assert ledger.dump() == {}


@pytest.mark.parametrize("who", ["other ledger", "older epoch", "later epoch"])
def test_an_owner_that_is_not_the_present_one_is_refused(ledger: LedgerProbe, who: str) -> None:
    """Another ledger id or another epoch writes nothing and is told whose ledger it is."""
    ledger.own(3)
    other, before = ledger.as_other(ledger.stale_owners()[who]), ledger.dump()

    assert other.send(other.dispatch_call(["3"])) == Refused(ledger.ownership.ledger, 1, 3)
    assert ledger.dump() == before


@pytest.mark.parametrize("expected", [2, 4])
def test_another_position_is_refused(ledger: LedgerProbe, expected: int) -> None:
    """A dispatch from another position than the ledger's writes nothing and is told the position."""
    ledger.own(3)
    ledger.position, before = expected, ledger.dump()

    assert ledger.send(ledger.dispatch_call(["4"])) == Refused(ledger.ownership.ledger, 1, 3)
    assert ledger.dump() == before


def test_the_same_dispatch_twice_is_refused_with_its_own_end(ledger: LedgerProbe) -> None:
    """After a lost reply the second try learns from epoch and position that the first one happened."""
    ledger.own()
    call = ledger.dispatch_call(["0", "1"])
    ledger.send(call)
    before = ledger.dump()

    assert ledger.send(call) == Refused(ledger.ownership.ledger, ledger.ownership.epoch, call.next)
    assert ledger.dump() == before


def test_a_head_of_another_format_is_refused(ledger: LedgerProbe) -> None:
    """What a later version wrote is left alone."""
    ledger.own()
    ledger.call("HSET", ledger.keys.head, "format", "2")
    before = ledger.dump()

    assert isinstance(ledger.send(ledger.dispatch_call(["0"])), Refused)
    assert ledger.dump() == before


@pytest.mark.parametrize("key", ["head", "inflight", "state", "times", "attention", "queue"])
def test_a_key_of_another_type_is_refused_before_anything_is_written(ledger: LedgerProbe, key: str) -> None:
    """A type error half way would leave entries without messages; so all types are looked at first."""
    ledger.own()
    ledger.dispatch(["0"], {"1": "not JSON"})
    ledger.call("SET", ledger.queue if key == "queue" else getattr(ledger.keys, key), "somebody else's")
    before = ledger.dump()

    reply = ledger.send(ledger.dispatch_call(["2"], {"3": "not JSON"}))

    assert isinstance(reply, Exception)
    assert "WRONGTYPE" in str(reply)
    assert ledger.dump() == before


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 5_000])
def test_a_call_can_be_larger_than_lua_can_unpack(ledger: LedgerProbe, count: int) -> None:
    """However many entries a call has, each is recorded and queued once, in order."""
    ledger.own()
    members = [str(offset) for offset in range(count)]
    wrong = {str(offset): "not JSON" for offset in range(count, count + 1_200)}

    ledger.dispatch(members, wrong)

    assert ledger.members() == [*members, *wrong]
    assert ledger.queued() == [payload_of(member) for member in members]
    assert len(ledger.attention()) == 1_200
    ledger.assert_counts_match()


def test_messages_are_carried_byte_for_byte(ledger: LedgerProbe) -> None:
    """What is queued is what was given, whatever the bytes."""
    ledger.own()
    messages = [bytes(range(256)), b"", "é\u2028\U0001f600".encode() * 100_000]

    ledger.dispatch(["0", "1", "2"], messages=messages)

    assert ledger.queued() == messages


def test_several_partitions_are_dispatched_in_one_round_trip(ledger: LedgerProbe, redis_url: str, group: str) -> None:
    """Of several dispatches one that is refused does not stop the others; replies come in the order given."""
    ledger.own()
    with LedgerProbe(redis_url, group, "another") as other, LedgerProbe(redis_url, group, "nobody's") as absent:
        other.own(8, drop=True)
        calls = [ledger.dispatch_call(["0"]), absent.dispatch_call(["0"]), other.dispatch_call(["8"])]

        replies = dispatches.send_dispatches(ledger.client, calls).replies()

        assert replies == [Dispatched(1, 1, 1), Refused(None, None, None), Dispatched(9, 1, 1)]
        assert (ledger.members(), other.members(), absent.members()) == (["0"], ["8"], [])


def test_a_forgotten_script_keeps_the_order_of_what_is_under_way(ledger: LedgerProbe, redis_url: str) -> None:
    """A server that was restarted without its script cache: what is sent again, all in order, happens.

    Meanwhile somebody else may have let the server know the script, and what is sent then must not overtake.
    """
    ledger.own()
    ledger.call("SCRIPT", "FLUSH")
    calls = [_next_dispatch(ledger, offset) for offset in range(3)]
    first = dispatches.send_dispatches(ledger.client, calls[:1])
    second = dispatches.send_dispatches(ledger.client, calls[1:2], first)
    with pytest.raises(RedisUnavailable, match="forgotten"):
        first.replies()
    third = dispatches.send_dispatches(ledger.client, calls[2:], second)
    with pytest.raises(RedisUnavailable, match="forgotten"):
        second.replies()
    assert third.replies() == [Refused(LEDGER, 1, 0)]
    assert ledger.members() == []

    again = dispatches.send_dispatches(ledger.client, calls).replies()
    assert again == [Dispatched(1, 1, 1), Dispatched(2, 2, 2), Dispatched(3, 3, 3)]
    assert ledger.queued() == [payload_of("0"), payload_of("1"), payload_of("2")]


def test_a_script_that_was_made_known_is_not_forgotten_in_the_middle(ledger: LedgerProbe) -> None:
    """On a server that has never run it."""
    ledger.own()
    ledger.call("SCRIPT", "FLUSH")
    dispatches.make_known(ledger.client)
    sent = dispatches.send_dispatches(ledger.client, [ledger.dispatch_call(["0"])])
    assert sent.replies() == [Dispatched(1, 1, 1)]


def test_a_user_who_may_not_load_scripts_is_told_so(ledger: LedgerProbe, redis_url: str) -> None:
    """By the name of the setting, with what to change."""
    ledger.client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-script|load"])
    try:
        with (
            connect(redis_url.replace("//", "//narrow:x@")) as client,
            pytest.raises(ConfigurationError, match=r"^CELERY_BROKER_URL: .*SCRIPT LOAD.*@scripting"),
        ):
            dispatches.make_known(client)
    finally:
        ledger.client.acl_deluser("narrow")


def _next_dispatch(ledger: LedgerProbe, offset: int) -> dispatches.Dispatch:
    ledger.position = offset
    return ledger.dispatch_call([str(offset)])
