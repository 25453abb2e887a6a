"""What Kafka has confirmed is noted in the ledger, if it is of the tenure that holds now."""

from typing import Any, cast

import pytest

from ferry_consumer.commit import Signature
from ferry_consumer.ledger_reader import LedgerReader
from ferry_consumer.partition import Partition, Place, Tenure
from ferry_consumer.resume import Committed
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.consumer_ledger import Ownership
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route

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
    partition = Partition(Place(AT, ROUTE, ROUTE.adapter, LedgerKeys.of("", "ferry", AT), "celery"))
    nothing = cast("Any", None)
    partition.start(Tenure(Ownership("ledger", 7), "topic-id", nothing, nothing), 0, 0, 0)
    intake = cast("Any", IntakeConfirms(Committed(1_000, metadata)))
    LedgerReader(nothing, intake, nothing, nothing, nothing).note_committed({AT: partition})
    assert noted == expected
    assert partition.committed == sum(expected)
