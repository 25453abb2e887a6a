"""What a consumer knows of pauses, on a real server: each is told once, and none is forgotten by mistake."""

import pytest

from ferry_consumer.standing_pauses import StandingPauses
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.pauses import NO_PAUSES, Pause, PauseCause, pause, read_pauses
from ferry_shared.record import TopicPartition
from ferry_shared.settings import ConsumerSettings
from tests.support.ledger_probe import LedgerProbe

TOPIC = Pause("alice@host", 1_700_000_000_000, "the shop moves")
OWN = Pause("bob@host", 1_700_000_000_001, "a broken disk")


@pytest.fixture
def pauses(ledger: LedgerProbe) -> StandingPauses:
    """Nothing known."""
    return StandingPauses(ConsumerSettings(consumer_group=ledger.group), ledger.client)


def keys(ledger: LedgerProbe, partition: int = 0) -> LedgerKeys:
    """The keys of a partition of `orders`."""
    return LedgerKeys.of("", ledger.group, TopicPartition("orders", partition))


def test_begin_and_end_are_told_once(
    ledger: LedgerProbe, pauses: StandingPauses, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every tick, and not for each of a topic's partitions."""
    with caplog.at_level("INFO", "ferry.consumer"):
        for read in ((TOPIC, None), (TOPIC, None), NO_PAUSES, NO_PAUSES):
            for partition in range(3):
                pauses.note(keys(ledger, partition), read)
    begin, end = [record.getMessage() for record in caplog.records]
    assert begin == (
        "orders: intake paused by alice@host since 2023-11-14T22:13:20+00:00: the shop moves; "
        "what is in flight goes on; to end it: ferry resume orders"
    )
    assert end == "orders: resumed; it was paused by alice@host: the shop moves"
    assert pauses.take_lifted() == ["orders"]
    assert pauses.take_lifted() == []


def test_a_topic_and_its_partitions(ledger: LedgerProbe, pauses: StandingPauses) -> None:
    """Each by itself; the topic's pause is told first."""
    pauses.note(keys(ledger, 0), (None, OWN))
    assert [pauses.of(keys(ledger, number)) for number in range(2)] == [OWN, None]
    pauses.note(keys(ledger, 1), (TOPIC, None))
    assert [pauses.of(keys(ledger, number)) for number in range(2)] == [TOPIC, TOPIC]
    pauses.note(keys(ledger, 0), (None, OWN))
    assert [pauses.of(keys(ledger, number)) for number in range(2)] == [OWN, None]


def test_a_wanted_pause_holds_before_it_is_written(ledger: LedgerProbe, pauses: StandingPauses) -> None:
    """A tick that reads before the write has not lifted it."""
    pauses.want("orders", "all is wrong")
    pauses.note(keys(ledger), NO_PAUSES)
    held = pauses.of(keys(ledger))
    assert held is not None
    assert (held.cause, held.why) == (PauseCause.DEAD_LETTER_LIMIT, "all is wrong")
    pauses.write()
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": pauses.of(keys(ledger))}
    pauses.note(keys(ledger), NO_PAUSES)
    assert pauses.of(keys(ledger)) is None
    assert pauses.take_lifted() == ["orders"]


def test_an_operators_pause_is_not_replaced(ledger: LedgerProbe, pauses: StandingPauses) -> None:
    """Who was first says why."""
    first, _ = pause(ledger.client, "", ledger.group, "orders", TOPIC)
    pauses.want("orders", "all is wrong")
    pauses.write()
    assert pauses.of(keys(ledger)) == first
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": first}


def test_only_what_redis_has_lost_is_written_again(ledger: LedgerProbe, pauses: StandingPauses) -> None:
    """A pause that another consumer has written again already is taken over as it is."""
    pauses.note(keys(ledger), (TOPIC, OWN))
    newer, _ = pause(ledger.client, "", ledger.group, "orders", Pause("carol@host", 5, "newer"))
    pauses.write_again(keys(ledger), (newer, None))
    assert read_pauses(ledger.client, "", ledger.group) == {"orders": newer, "orders:0": OWN}
    assert pauses.of(keys(ledger)) == newer
    pauses.write_again(keys(ledger, 1), (newer, None))
    assert set(read_pauses(ledger.client, "", ledger.group)) == {"orders", "orders:0"}


def test_what_is_no_longer_read_here_is_forgotten(ledger: LedgerProbe, pauses: StandingPauses) -> None:
    """A partition that went to another consumer may be resumed unseen: its old pause must not come back."""
    pauses.note(keys(ledger, 0), (TOPIC, OWN))
    pauses.keep([keys(ledger, 1)])
    pauses.write_again(keys(ledger, 0), NO_PAUSES)
    assert set(read_pauses(ledger.client, "", ledger.group)) == {"orders"}
    pauses.keep([])
    assert pauses.of(keys(ledger, 0)) is None
