"""What the dispatcher admits of a drain, and what it holds back."""

from typing import Any, cast

import pytest

from ferry_consumer.dead_letter_limit import DeadLetterLimit
from ferry_consumer.dispatcher import Dispatcher
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Place, Tenure
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.standing_pauses import StandingPauses
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.consumer_ledger import Dispatch, Dispatched, Ownership
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.pauses import PauseCause
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.message import Message as Text
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from ferry_shared.task_message import TaskTemplate

VALID, INVALID = b'{"text": "x"}', b"{}"


class FakeRecord:
    """As much of a record as the dispatcher reads."""

    def __init__(
        self, partition: int, offset: int, value: bytes, topic: str = "orders", *, mark: bytes | None = None
    ) -> None:
        self._place, self._offset, self._value, self._mark = (topic, partition), offset, value, mark

    def topic(self) -> str:
        """Its topic."""
        return self._place[0]

    def partition(self) -> int:
        """Its partition."""
        return self._place[1]

    def offset(self) -> int:
        """Its offset."""
        return self._offset

    def value(self) -> bytes:
        """Its value."""
        return self._value

    def key(self) -> None:
        """None."""

    def error(self) -> None:
        """None."""

    def headers(self) -> list[tuple[str, bytes]]:
        """None, or the mark of a replay."""
        return [] if self._mark is None else [(REPLAY_HEADER, self._mark)]

    def timestamp(self) -> tuple[int, int]:
        """When it was made."""
        return 1, 1


class World:
    """A dispatcher with two partitions of `orders` and one of `invoices`; five records make a run."""

    def __init__(self, **changed: Any) -> None:
        settings, nowhere = ConsumerSettings(**changed), cast("Any", None)
        self.pauses = StandingPauses(settings, nowhere)
        self.metrics = Metrics()
        limit = DeadLetterLimit(0.8, 5)
        self.dispatcher = Dispatcher(settings, nowhere, self.metrics, ServerClock(), self.pauses, limit)
        places = [TopicPartition("orders", 0), TopicPartition("orders", 1), TopicPartition("invoices", 0)]
        self.partitions = {place: owned(place) for place in places}

    def take(self, *records: FakeRecord) -> None:
        """A drain."""
        self.dispatcher.accept(cast("Any", list(records)), self.partitions, blocked=False)

    def of(self, topic: str, number: int = 0) -> Partition:
        """A partition."""
        return self.partitions[TopicPartition(topic, number)]


def owned(place: TopicPartition) -> Partition:
    """A partition that is acquired, and fetched."""
    route = Route(place.topic, Text, "task")
    held = Partition(Place(place, route, route.adapter, LedgerKeys.of("", "ferry", place), "celery"))
    template = TaskTemplate(route, "ferry", place, "ledger")
    held.start(Tenure(Ownership("ledger", 1), "id", template, Transport("celery", "unacked", "", "")), 0, 0, 0)
    held.fetching = True
    return held


def dispatched(_client: object, calls: list[Dispatch]) -> list[Dispatched]:
    """Redis has taken them all."""
    return [Dispatched(call.next, len(call.queued)) for call in calls]


@pytest.fixture
def world() -> World:
    """Nothing taken yet."""
    return World()


def test_past_the_limit_the_whole_drain_of_the_topic_is_held_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The position stays, nothing is remembered for a dead letter, the topic pauses; other topics go on."""
    world.take(
        FakeRecord(0, 0, INVALID), FakeRecord(0, 1, INVALID), FakeRecord(1, 0, INVALID), FakeRecord(1, 1, INVALID),
        FakeRecord(1, 2, VALID), FakeRecord(0, 0, VALID, "invoices"),
    )  # fmt: skip
    for number in range(2):
        held = world.of("orders", number)
        assert (held.unanswered, held.invalid, held.expected) == ([], {}, 0)
        standing = world.pauses.of(held.place.keys)
        assert standing is not None
        assert (standing.cause, standing.why) == (
            PauseCause.DEAD_LETTER_LIMIT,
            "4 of its last 5 records were invalid, mostly invalid, such as orders-0-0",
        )
    assert [len(call.queued) for call in world.of("invoices").unanswered] == [1]
    assert world.pauses.of(world.of("invoices").place.keys) is None
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.getMessage().endswith("ferry resume orders")
    assert getattr(told, "task_id", None) == "orders-0-0"
    assert 'ferry_records_total{topic="orders"}' not in world.metrics.text().decode()


def test_below_the_limit_everything_is_admitted(world: World) -> None:
    """Valid and invalid, as always."""
    world.take(*(FakeRecord(0, offset, INVALID if offset else VALID) for offset in range(4)))
    (call,) = world.of("orders").unanswered
    assert (len(call.queued), len(call.invalid), sorted(world.of("orders").invalid)) == (1, 3, [1, 2, 3])
    assert 'ferry_records_total{topic="orders"} 4.0' in world.metrics.text().decode()


def test_what_was_dispatched_before_is_not_held_back(world: World) -> None:
    """A dispatch whose reply was lost is sent again: it may have happened."""
    world.take(*(FakeRecord(0, offset, INVALID) for offset in range(3)))
    waiting = list(world.of("orders").unanswered)
    world.take(*(FakeRecord(1, offset, INVALID) for offset in range(3)), FakeRecord(0, 3, VALID))
    assert world.of("orders").unanswered == waiting
    assert world.of("orders", 1).unanswered == []


def test_what_arrives_while_it_is_held_is_read_again_later(world: World) -> None:
    """Kafka's client may have had it already."""
    world.of("orders").fetching = False
    world.take(FakeRecord(0, 0, VALID))
    assert (world.of("orders").unanswered, world.of("orders").expected) == ([], 0)


def test_replays_for_other_groups_are_counted_once_they_are_passed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the ledger has taken note of the position behind them, by topic; they are no records of this group."""
    caplog.set_level("INFO", logger="ferry.consumer")
    marked = [FakeRecord(0, offset, VALID, mark=b"orders-0-0@other") for offset in (1, 2)]
    world.take(FakeRecord(0, 0, VALID), *marked)
    assert "ferry_others_replays_total{" not in world.metrics.text().decode()

    monkeypatch.setattr(consumer_ledger, "dispatch", dispatched)
    world.dispatcher.send(world.partitions.values())
    assert world.of("orders").expected == 3
    told = world.metrics.text().decode()
    assert 'ferry_others_replays_total{topic="orders"} 2.0' in told
    assert 'ferry_dispatched_total{topic="orders"} 1.0' in told
    assert 'ferry_records_total{topic="orders"} 1.0' in told
    assert "orders-0: 2 dead letters of other groups, sent again, passed over up to offset 2" in caplog.messages


def test_batches_are_counted_by_their_messages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In every figure, and in the line that tells of a dispatch: its ids are those of what was queued."""
    caplog.set_level("DEBUG", logger="ferry.consumer")
    world = World(consumer_batch_size=4)
    values = [*[VALID] * 6, INVALID, VALID]
    world.take(*(FakeRecord(0, offset, value) for offset, value in enumerate(values)), FakeRecord(1, 9, VALID))
    assert [entry.member for entry in world.of("orders").unanswered[0].queued] == ["0-3-4", "4-5-2", "7"]
    monkeypatch.setattr(consumer_ledger, "dispatch", dispatched)
    world.dispatcher.send(world.partitions.values())
    told = world.metrics.text().decode()
    assert 'ferry_dispatched_total{topic="orders"} 8.0' in told
    assert 'ferry_invalid_total{topic="orders"} 1.0' in told
    assert 'ferry_records_total{topic="orders"} 9.0' in told
    assert (world.of("orders").in_flight, world.of("orders", 1).in_flight) == (8, 1)
    (line,) = [line for line in caplog.messages if line.startswith("dispatched 8 in ")]
    assert line.endswith(": orders-0-0..3 … orders-1-9")
    ids = [getattr(record, "task_id", "") for record in caplog.records if record.getMessage() == "dispatched"]
    assert ids == ["orders-0-0..3", "orders-0-4..5", "orders-0-7", "orders-1-9"]


def test_a_single_batch_is_named_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its id is its first and its last."""
    caplog.set_level("INFO", logger="ferry.consumer")
    world = World(consumer_batch_size=4)
    world.take(*(FakeRecord(0, offset, VALID) for offset in range(3)))
    monkeypatch.setattr(consumer_ledger, "dispatch", dispatched)
    world.dispatcher.send(world.partitions.values())
    (line,) = caplog.messages
    assert line.startswith("dispatched 3 in ")
    assert line.endswith(" ms: orders-0-0..2")
