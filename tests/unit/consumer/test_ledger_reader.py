"""What Kafka has confirmed is noted in the ledger, if it is of the tenure that holds now; what comes before what."""

from typing import Any, cast

import pytest

from ferry_consumer.commit import Signature
from ferry_consumer.ledger_reader import LedgerReader
from ferry_consumer.partition import Partition
from ferry_consumer.resume import Committed
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.standing_pauses import StandingPauses
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.consumer_ledger import Ownership, Snapshot
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.held_partition import held_partition

ROUTE = Route("orders", Message, "task")
AT = TopicPartition("orders", 0)
PRESENT = Signature("ledger", "topic-id", 7)


class IntakeConfirms:
    """An intake to which Kafka has confirmed one commit."""

    def __init__(self, confirmed: Committed) -> None:
        self.confirmed = confirmed

    def take_committed(self) -> dict[TopicPartition, Committed]:
        """That one."""
        return {AT: self.confirmed}


class IntakeTakesCommits:
    """An intake that is asked to commit."""

    def commit(self, _offsets: object) -> None:
        """Taken."""


class AttentionWithoutRoom:
    """Acts on a Redis that is full: what a batch would become has no room."""

    def __init__(self) -> None:
        self.wrote: list[TopicPartition] = []

    def settle(self, _partitions: object) -> None:
        """Nothing was acknowledged."""

    def write_dead_letters(self, partition: Partition, _snapshot: object, _deadline: float) -> None:
        """They need none."""
        self.wrote.append(partition.topic_partition)

    def divide_failed(self, _partition: object, _snapshot: object, _deadline: float) -> None:
        """It is refused."""
        raise RedisUnavailable("Redis: used memory > 'maxmemory'")


def owned(place: TopicPartition) -> Partition:
    """A partition that is acquired."""
    return held_partition(ROUTE, place=place, ownership=Ownership("ledger", 7))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets of which the ledger was told."""
    told: list[int] = []

    def committed(_client: object, _keys: object, _owner: object, offset: int) -> bool:
        told.append(offset)
        return True

    monkeypatch.setattr(consumer_ledger, "committed", committed)
    return told


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (str(PRESENT), [1_000]),
        (str(Signature("ledger", "topic-id", 6)), []),
        (str(Signature("ledger", "older-topic-id", 7)), []),
        (str(Signature("older-ledger", "topic-id", 7)), []),
        ("", []),
        (None, []),
    ],
)
def test_only_a_commit_of_this_tenure_is_noted(noted: list[int], metadata: str | None, expected: list[int]) -> None:
    """librdkafka sends a commit again that failed: it can be confirmed after the topic was made anew."""
    partition, nothing = owned(AT), cast("Any", None)
    intake = cast("Any", IntakeConfirms(Committed(1_000, metadata)))
    LedgerReader(nothing, intake, nothing, nothing, nothing).note_committed({AT: partition})
    assert noted == expected
    assert partition.committed == sum(expected)


def test_a_full_redis_keeps_no_dead_letter_from_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that has failed needs room; dead letters make some, so those of all partitions come first."""
    partitions = {place: owned(place) for place in (AT, TopicPartition("orders", 1))}
    seen = Snapshot(
        position=0, committed=0, entries=0, messages=0, dead_letters=0, restored=0, rewound=0, sound=True, lowest=None,
        oldest_ms=0, now_ms=1, due=(),
    )  # fmt: skip

    def snapshot(_client: object, owned: list[object], _limit: int) -> list[Snapshot]:
        return [seen] * len(owned)

    monkeypatch.setattr(consumer_ledger, "snapshot", snapshot)
    attention, pauses = AttentionWithoutRoom(), StandingPauses(ConsumerSettings(), cast("Any", None))
    reader = LedgerReader(
        cast("Any", None), cast("Any", IntakeTakesCommits()), cast("Any", attention), ServerClock(), pauses
    )
    with pytest.raises(RedisUnavailable):
        reader.read(partitions)
    assert attention.wrote == list(partitions)
