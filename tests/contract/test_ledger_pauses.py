"""The scripts `pause` and `unpause` on a real server, and what `inspect` and `snapshot` tell of them."""

from dataclasses import replace

import orjson
import pytest

from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.keys import pause_key
from ferry_shared.ledger.pauses import NO_PAUSES, Pause, PauseCause, pause, read_pauses, unpause
from tests.support.ledger_probe import LedgerProbe

WANTED = Pause("alice@host", 0, "the ünit is down", PauseCause.DEAD_LETTER_LIMIT)


def paused(ledger: LedgerProbe, target: str, wanted: Pause = WANTED) -> tuple[Pause, bool]:
    """Pause."""
    return pause(ledger.client, "", ledger.group, target, wanted)


def test_a_pause_says_who_when_and_why(ledger: LedgerProbe) -> None:
    """By the server's clock; and it needs no ledger."""
    before = ledger.now_ms()
    made, is_new = paused(ledger, "orders")

    assert is_new
    assert before <= made.when_ms <= ledger.now_ms()
    assert replace(made, when_ms=0) == WANTED
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": made}


def test_the_first_pause_stays(ledger: LedgerProbe) -> None:
    """Who paused first, and why, must not be forgotten."""
    first, _ = paused(ledger, "orders")

    assert paused(ledger, "orders", Pause("bob@host", 0, "other")) == (first, False)
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": first}


def test_a_pause_that_is_written_again_keeps_its_time(ledger: LedgerProbe) -> None:
    """After a FLUSHALL the consumer's memory is all there is."""
    known = replace(WANTED, when_ms=1_700_000_000_123)

    assert paused(ledger, "orders", known) == (known, True)
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": known}


def test_unpause_ends_one_pause_and_tells_which(ledger: LedgerProbe) -> None:
    """A topic and its partitions are paused each by itself; the last one leaves nothing behind."""
    topic, _ = paused(ledger, "orders")
    partition, _ = paused(ledger, "orders:1")

    assert unpause(ledger.client, "", ledger.group, "orders") == topic
    assert unpause(ledger.client, "", ledger.group, "orders") is None
    assert read_pauses(ledger.client, "", ledger.group) == {"orders:1": partition}
    assert unpause(ledger.client, "", ledger.group, "orders:1") == partition
    assert ledger.dump() == {}


def test_groups_and_prefixes_are_apart(ledger: LedgerProbe) -> None:
    """Another group goes on, also one whose name needs encoding."""
    paused(ledger, "orders")

    assert read_pauses(ledger.client, "", "gr:oup") == {}
    assert read_pauses(ledger.client, "blue-", ledger.group) == {}
    pause(ledger.client, "blue-", "gr:oup", "orders", WANTED)
    assert ledger.client.exists("blue-ferry:pause:gr%3Aoup") == 1


@pytest.mark.parametrize("owned", [False, True])
def test_inspect_tells_the_pauses_of_its_partition(ledger: LedgerProbe, owned: bool) -> None:
    """With and without a head, and nobody else's."""
    if owned:
        ledger.own()
    for target in ("another", f"{ledger.place.topic}:1"):
        paused(ledger, target)
    assert ledger.inspect().pauses == NO_PAUSES
    topic, _ = paused(ledger, ledger.place.topic)
    partition, _ = paused(ledger, f"{ledger.place.topic}:0")

    assert ledger.inspect().pauses == (topic, partition)


def test_a_snapshot_tells_the_pauses_of_its_partition(ledger: LedgerProbe) -> None:
    """In the same reading as the head."""
    ledger.own()
    paused(ledger, f"{ledger.place.topic}:1")
    assert ledger.snapshot().pauses == NO_PAUSES
    partition, _ = paused(ledger, f"{ledger.place.topic}:0")
    assert ledger.snapshot().pauses == (None, partition)
    topic, _ = paused(ledger, ledger.place.topic)
    assert ledger.snapshot().pauses == (topic, partition)


def test_a_pause_changes_nothing_else(ledger: LedgerProbe) -> None:
    """What is in flight goes on: claim, done, fail, and the position of a dispatch."""
    ledger.own()
    ledger.dispatch(["0"])
    paused(ledger, ledger.place.topic)

    assert ledger.claim("0").verdict == "run"
    assert ledger.outcome("done", "0") == "recorded"
    assert ledger.dispatch(["1"]).entries == 1


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"who": "a"}', '{"who":"a","when_ms":"x","why":"b","cause":"operator"}']
)
def test_a_field_that_can_not_be_read_is_a_pause(ledger: LedgerProbe, text: str) -> None:
    """Somebody wanted a stop: what says who and why is damaged, the stop holds."""
    ledger.own()
    ledger.call("HSET", pause_key("", ledger.group), ledger.place.topic, text or " ")

    topic, partition = ledger.snapshot().pauses
    assert topic == Pause("unknown", 0, text or " ")
    assert partition is None
    assert unpause(ledger.client, "", ledger.group, ledger.place.topic) == topic


def test_a_key_of_another_type_keeps_the_intake_shut(ledger: LedgerProbe) -> None:
    """It is told with the key's name; the ledger is not touched, and the verbs say what to do."""
    ledger.own()
    key = pause_key("", ledger.group)
    ledger.call("SET", key, "somebody else's")

    topic, _ = ledger.snapshot().pauses
    assert topic is not None
    assert topic.why == f"{key} in Redis holds a string, expected a hash"
    assert ledger.inspect().pauses[0] == topic
    with pytest.raises(ConfigurationError, match="delete it"):
        paused(ledger, "t")
    with pytest.raises(ConfigurationError, match="delete it"):
        unpause(ledger.client, "", ledger.group, "t")
    with pytest.raises(ConfigurationError, match="delete it"):
        read_pauses(ledger.client, "", ledger.group)


def test_a_pause_is_json(ledger: LedgerProbe) -> None:
    """Other tools can read it."""
    made, _ = paused(ledger, "orders")
    stored = ledger.call("HGET", pause_key("", ledger.group), "orders")
    assert orjson.loads(stored) == orjson.loads(made.to_json())
