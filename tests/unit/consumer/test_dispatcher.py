"""What the dispatcher admits of a drain, and what it holds back."""

from typing import Any, cast

import pytest
from confluent_kafka import Message
from redis.exceptions import OutOfMemoryError

from ferry_consumer.dead_letter_limit import DeadLetterLimit
from ferry_consumer.dispatcher import Dispatcher
from ferry_consumer.linger import KNOWN_FOR_SECONDS, MAX_SECONDS, SECONDS_AN_ENTRY
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.standing_pauses import StandingPauses
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import dispatches
from ferry_shared.ledger.consumer_ledger import Ownership, Refused
from ferry_shared.ledger.dispatches import Dispatch, Dispatched
from ferry_shared.ledger.pauses import PauseCause
from ferry_shared.message import Message as Text
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.fetched_message import fetched
from tests.support.held_partition import held_partition

VALID, INVALID = b'{"text": "x"}', b"{}"


def record(partition: int, offset: int, value: bytes, topic: str = "orders", *, mark: bytes | None = None) -> Message:
    """One that was fetched; with the mark of a replay."""
    return fetched(offset, value, topic, partition, headers=None if mark is None else [(REPLAY_HEADER, mark)])


class FakeServer:
    """Stands for Redis with its ledgers: what was sent to it by positions, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.lost = self.first_is_lost = self.refusing = self.away = self.full = False
        self.last: FakeReplies | None = None
        self.others = self.queued = self.taken = 0
        self.happened: set[tuple[int, int]] = set()

    def send_dispatches(
        self, _client: object, calls: list[Dispatch], behind: "FakeReplies | None" = None
    ) -> "FakeReplies":
        """Take calls; of those under way one is the last."""
        assert behind is self.last
        if self.away:
            raise RedisUnavailable("away")
        self.sent += [(call.expected, call.next) for call in calls]
        self.last = FakeReplies(self, calls)
        return self.last


class FakeReplies:
    """The replies to some calls."""

    def __init__(self, server: FakeServer, calls: list[Dispatch]) -> None:
        self._server, self._calls, self._taken = server, calls, server.taken

    def replies(self) -> list[Dispatched | Refused | Exception]:
        """What has become of them."""
        if self._server.last is self:
            self._server.last = None
        if self._server.lost or (self._server.first_is_lost and self._calls[0].expected == 0):
            raise RedisUnavailable("cut by the test")
        return [self._reply(call) for call in self._calls]

    def _reply(self, call: Dispatch) -> Dispatched | Refused | Exception:
        if self._server.refusing:
            return Refused("another", 2, 0)
        if self._server.full:
            return OutOfMemoryError("full") if call.expected == 0 else Refused("ledger", 1, 0)
        if (call.expected, call.next) in self._server.happened:
            return Refused("ledger", 1, call.next)
        self._server.queued += len(call.queued)
        return Dispatched(call.next, call.entries + self._server.others, self._server.queued - self._taken)


class World:
    """A dispatcher with two partitions of `orders` and one of `invoices`; five records make a run."""

    def __init__(self, server: FakeServer, **changed: Any) -> None:
        self.server = server
        settings, nowhere = ConsumerSettings(**changed), cast("Any", None)
        self.pauses = StandingPauses(settings, nowhere)
        self.metrics = Metrics()
        limit = DeadLetterLimit(0.8, 5)
        self.dispatcher = Dispatcher(settings, nowhere, self.metrics, ServerClock(), self.pauses, limit)
        places = [TopicPartition("orders", 0), TopicPartition("orders", 1), TopicPartition("invoices", 0)]
        self.partitions = {place: owned(place) for place in places}

    def take(self, *records: Message) -> None:
        """A drain."""
        self.dispatcher.accept(list(records), self.partitions, blocked=False)

    def send(self) -> None:
        """Send what is prepared."""
        self.dispatcher.send(self.partitions.values())

    def linger_seconds(self) -> float:
        """Of all partitions."""
        return self.dispatcher.linger_seconds(self.partitions.values())

    def of(self, topic: str, number: int = 0) -> Partition:
        """A partition."""
        return self.partitions[TopicPartition(topic, number)]


def owned(place: TopicPartition) -> Partition:
    """A partition that is acquired, and fetched."""
    held = held_partition(Route(place.topic, Text, "task"), place=place)
    held.fetching = True
    return held


def world_of(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> World:
    """Nothing taken yet, under changed settings."""
    server = FakeServer()
    monkeypatch.setattr(dispatches, "send_dispatches", server.send_dispatches)
    return World(server, **changed)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The settings as they come."""
    return world_of(monkeypatch)


def test_past_the_limit_the_whole_drain_of_the_topic_is_held_back(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The position stays, nothing is remembered for a dead letter, the topic pauses; other topics go on."""
    world.take(
        record(0, 0, INVALID), record(0, 1, INVALID), record(1, 0, INVALID), record(1, 1, INVALID),
        record(1, 2, VALID), record(0, 0, VALID, "invoices"),
    )  # fmt: skip
    for number in range(2):
        held = world.of("orders", number)
        assert (held.prepared, held.invalid, held.expected) == ([], {}, 0)
        standing = world.pauses.of(held.place.keys)
        assert standing is not None
        assert (standing.cause, standing.why) == (
            PauseCause.DEAD_LETTER_LIMIT,
            "4 of its last 5 records were invalid, mostly invalid, such as orders-0-0",
        )
    assert [len(call.queued) for call in world.of("invoices").prepared] == [1]
    assert world.pauses.of(world.of("invoices").place.keys) is None
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.getMessage().endswith("ferry resume orders")
    assert getattr(told, "task_id", None) == "orders-0-0"
    assert 'ferry_records_total{topic="orders"}' not in world.metrics.text().decode()


def test_below_the_limit_everything_is_admitted(world: World) -> None:
    """Valid and invalid, as always."""
    world.take(*(record(0, offset, INVALID if offset else VALID) for offset in range(4)))
    (call,) = world.of("orders").prepared
    assert (len(call.queued), len(call.invalid), sorted(world.of("orders").invalid)) == (1, 3, [1, 2, 3])
    world.send()
    assert 'ferry_records_total{topic="orders"} 4.0' in world.metrics.text().decode()


def test_what_was_dispatched_before_is_not_held_back(world: World) -> None:
    """A dispatch whose reply was lost is sent again: it may have happened."""
    world.take(*(record(0, offset, INVALID) for offset in range(3)))
    world.server.lost = True
    world.send()
    with pytest.raises(RedisUnavailable):
        world.dispatcher.settle()
    waiting = list(world.of("orders").unanswered)
    world.take(*(record(1, offset, INVALID) for offset in range(3)), record(0, 3, VALID))
    assert (world.of("orders").unanswered, world.of("orders").prepared) == (waiting, [])
    assert (world.of("orders", 1).unanswered, world.of("orders", 1).prepared) == ([], [])


def test_what_arrives_while_it_is_held_is_read_again_later(world: World) -> None:
    """Kafka's client may have had it already."""
    world.of("orders").fetching = False
    world.take(record(0, 0, VALID))
    assert (world.of("orders").prepared, world.of("orders").expected) == ([], 0)


def test_replays_for_other_groups_are_counted_once_they_are_passed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """When the ledger has taken note of the position behind them, by topic; they are no records of this group."""
    caplog.set_level("INFO", logger="ferry.consumer")
    marked = [record(0, offset, VALID, mark=b"orders-0-0@other") for offset in (1, 2)]
    world.take(record(0, 0, VALID), *marked)
    assert "ferry_others_replays_total{" not in world.metrics.text().decode()

    world.send()
    assert "ferry_others_replays_total{" not in world.metrics.text().decode()
    world.dispatcher.settle()
    assert world.of("orders").expected == 3
    told = world.metrics.text().decode()
    assert 'ferry_others_replays_total{topic="orders"} 2.0' in told
    assert 'ferry_dispatched_total{topic="orders"} 1.0' in told
    assert 'ferry_records_total{topic="orders"} 1.0' in told
    assert "orders-0: 2 dead letters of other groups, sent again, passed over up to offset 2" in caplog.messages


def under_way(world: World) -> Partition:
    """A partition with a dispatch that is under way, and one prepared that follows it."""
    world.take(record(0, 0, VALID))
    world.send()
    world.take(record(0, 1, VALID), record(0, 2, VALID))
    held = world.of("orders")
    assert [(call.expected, call.next) for call in held.prepared] == [(1, 3)]
    assert (world.server.sent, held.expected, held.following) == ([(0, 1)], 0, 1)
    return held


def test_the_next_drain_is_prepared_and_sent_while_redis_works(world: World) -> None:
    """It begins where the one under way will end, whose replies are read once it is sent."""
    held = under_way(world)
    world.send()
    assert (world.server.sent, held.expected, world.dispatcher.is_waiting) == ([(0, 1), (1, 3)], 1, True)
    world.dispatcher.settle()
    assert (held.expected, held.unanswered, world.dispatcher.is_waiting) == (3, [], False)


def test_with_nothing_to_send_all_replies_are_read(world: World) -> None:
    """Nobody sends what they would be read behind."""
    world.take(record(0, 0, VALID))
    world.send()
    world.send()
    assert (world.of("orders").expected, world.dispatcher.is_waiting) == (1, False)


def test_a_refused_dispatch_takes_what_follows_with_it(world: World) -> None:
    """It is refused as well: recovery reads all of it again, and hears nothing of it when it has taken it up."""
    held = under_way(world)
    world.server.refusing = True
    world.send()
    assert (world.server.sent, held.tenure, held.prepared, held.unanswered) == ([(0, 1), (1, 3)], None, [], [])
    acquired = held_partition(held.place.route, place=held.topic_partition, ownership=Ownership("ledger", 2)).tenure
    assert acquired is not None
    held.start(acquired, 0, 0, 0)
    world.dispatcher.settle()
    assert (held.tenure, held.expected, world.dispatcher.is_waiting) == (acquired, 0, False)


def test_after_a_lost_reply_the_same_dispatches_go_first(world: World) -> None:
    """What they were sent behind is lost as well; a refusal that shows the end of one means that it happened."""
    held = under_way(world)
    world.server.lost = True
    with pytest.raises(RedisUnavailable):
        world.send()
    assert ([call.next for call in held.unanswered], held.prepared, world.dispatcher.is_waiting) == ([1, 3], [], False)
    world.server.lost, world.server.happened = False, {(0, 1)}
    world.send()
    world.dispatcher.settle()
    assert (world.server.sent[2:], held.expected, held.unanswered) == ([(0, 1), (1, 3)], 3, [])


def test_a_dispatch_that_happened_shows_that_those_before_it_did(world: World) -> None:
    """Also where the reply to one of them was lost, and its own was not."""
    held = under_way(world)
    world.server.first_is_lost = True
    with pytest.raises(RedisUnavailable):
        world.send()
    assert (held.expected, held.unanswered, held.in_flight, world.dispatcher.is_waiting) == (3, [], 3, False)
    assert 'ferry_dispatched_total{topic="orders"} 3.0' in world.metrics.text().decode()


def test_what_could_not_be_sent_is_in_doubt_with_what_was_under_way(world: World) -> None:
    """They share a connection."""
    held = under_way(world)
    world.server.away = world.server.lost = True
    with pytest.raises(RedisUnavailable):
        world.send()
    assert ([call.next for call in held.unanswered], held.prepared, world.dispatcher.is_waiting) == ([1, 3], [], False)


def test_behind_a_dispatch_that_a_full_redis_refused_nothing_is_lost(world: World) -> None:
    """Redis had room again for what followed, which then did not follow: both are sent again."""
    held = under_way(world)
    world.server.full = True
    with pytest.raises(RedisUnavailable, match="full"):
        world.send()
    assert ([call.next for call in held.unanswered], world.dispatcher.is_waiting) == ([1, 3], False)
    assert held.tenure is not None
    world.server.full = False
    world.send()
    world.dispatcher.settle()
    assert (world.server.sent[2:], held.expected) == ([(0, 1), (1, 3)], 3)


def test_batches_are_counted_by_their_messages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In every figure, and in the line that tells of a dispatch: its ids are those of what was queued."""
    caplog.set_level("DEBUG", logger="ferry.consumer")
    world = world_of(monkeypatch, consumer_batch_size=4)
    values = [*[VALID] * 6, INVALID, VALID]
    world.take(*(record(0, offset, value) for offset, value in enumerate(values)), record(1, 9, VALID))
    assert [entry.member for entry in world.of("orders").prepared[0].queued] == ["0-3-4", "4-5-2", "7"]
    world.send()
    world.dispatcher.settle()
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
    world = world_of(monkeypatch, consumer_batch_size=4)
    world.take(*(record(0, offset, VALID) for offset in range(3)))
    world.send()
    world.dispatcher.settle()
    (line,) = caplog.messages
    assert line.startswith("dispatched 3 in ")
    assert line.endswith(" ms: orders-0-0..2")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    moved = [100.0]
    monkeypatch.setattr("ferry_consumer.linger.time.monotonic", lambda: moved[0])
    return moved


@pytest.mark.parametrize(
    ("batch", "others", "seconds"), [(4, 0, 0.0), (4, 1, SECONDS_AN_ENTRY), (4, 100, MAX_SECONDS), (1, 1, 0.0)]
)
def test_batches_wait_while_workers_are_behind(
    monkeypatch: pytest.MonkeyPatch, now: list[float], batch: int, others: int, seconds: float
) -> None:
    """As long as there is in flight besides what was just dispatched; single messages go by their queue."""
    world = world_of(monkeypatch, consumer_batch_size=batch)
    world.server.others = others
    world.take(record(0, 0, VALID), record(0, 1, INVALID))
    world.send()
    assert world.linger_seconds() == 0
    world.dispatcher.settle()
    assert world.linger_seconds() == seconds
    now[0] += KNOWN_FOR_SECONDS
    assert world.linger_seconds() == 0


def behind(world: World, now: list[float]) -> None:
    """Four messages went out, two of them were taken within 20 ms, and three more went out; no reply is read yet."""
    world.take(record(0, 0, VALID), record(0, 1, VALID), record(1, 0, VALID), record(1, 1, VALID))
    world.send()
    now[0] += 0.02
    world.take(record(0, 2, VALID), record(0, 3, VALID), record(1, 2, VALID))
    world.server.taken = 2
    world.send()


def test_single_messages_wait_while_their_queue_is_worked_off(world: World, now: list[float]) -> None:
    """Half of the time for which they would wait in it: the two that are left take 20 ms, from sending to sending."""
    behind(world, now)
    assert world.linger_seconds() == 0

    now[0] += 0.001
    world.dispatcher.settle()
    assert world.linger_seconds() == pytest.approx(0.01)


def test_a_dispatch_that_queues_nothing_tells_nothing_of_its_queue(world: World, now: list[float]) -> None:
    """Invalid records, say: the queue is worked off as it was."""
    behind(world, now)
    world.take(record(1, 3, INVALID))
    world.send()
    world.dispatcher.settle()
    assert world.linger_seconds() == pytest.approx(0.01)


def test_refused_dispatches_tell_nothing_of_their_queue(world: World, now: list[float]) -> None:
    """Nothing went into it."""
    world.server.refusing = True
    behind(world, now)
    world.dispatcher.settle()
    assert world.linger_seconds() == 0


def test_a_quiet_partition_with_a_queue_of_its_own_switches_waiting_off(world: World, now: list[float]) -> None:
    """Unless nothing is fetched of it."""
    urgent = TopicPartition("urgent", 0)
    world.partitions[urgent] = held_partition(Route("urgent", Text, "task", queue="urgent"), place=urgent)
    behind(world, now)
    world.dispatcher.settle()
    assert world.linger_seconds() == pytest.approx(0.01)

    world.partitions[urgent].fetching = True
    assert world.linger_seconds() == 0


def test_a_route_whose_messages_are_delayed_does_not(world: World, now: list[float]) -> None:
    """Its queue may be empty for long, and what waits for its time has time."""
    later = TopicPartition("later", 0)
    route = Route("later", Text, "task", queue="later", countdown_field="sent_at")
    world.partitions[later] = held_partition(route, place=later)
    world.partitions[later].fetching = True
    behind(world, now)
    world.dispatcher.settle()
    assert world.linger_seconds() == pytest.approx(0.01)
