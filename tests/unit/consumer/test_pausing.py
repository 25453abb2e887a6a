"""Which partitions are held, and why."""

from collections.abc import Iterable
from typing import Any, cast

import pytest

from ferry_consumer.partition import Partition
from ferry_consumer.pausing import Pausing
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.pauses import Pause, PauseCause
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.held_partition import held_partition

ROUTE = Route("orders", Message, "task")


class World:
    """Intake, standing pauses and Redis' memory in one."""

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.standing: dict[int, Pause] = {}
        self.is_reached = False
        self.kafka_is_away = False
        self.interrupted: set[TopicPartition] = set()

    def take_interrupted(self) -> set[TopicPartition]:
        """What the intake has paused by itself."""
        return self.interrupted

    def pause(self, places: Iterable[TopicPartition]) -> None:
        """Fetch these no more."""
        self.fetched = [number for number in self.fetched if number not in {place.partition for place in places}]

    def go_on(self, partition: Partition) -> None:
        """Fetch it."""
        if self.kafka_is_away:
            raise KafkaUnavailable
        self.fetched.append(partition.topic_partition.partition)

    def of(self, keys: LedgerKeys) -> Pause | None:
        """What pauses it in the ledger."""
        return self.standing.get(int(keys.pause_fields[1].rpartition(":")[2]))


@pytest.fixture
def world() -> World:
    """Nothing pauses."""
    return World()


@pytest.fixture
def pausing(world: World) -> Pausing:
    """At most ten in flight, a span of a hundred."""
    settings = ConsumerSettings(consumer_max_in_flight_per_partition=10, consumer_max_span_per_partition=100)
    parts = cast("Any", world)
    return Pausing(settings, parts, parts, parts)


@pytest.fixture
def partitions() -> list[Partition]:
    """Two that were just acquired."""
    return [held_partition(ROUTE, place=TopicPartition("orders", number)) for number in range(2)]


def test_what_nothing_pauses_is_fetched(world: World, pausing: Pausing, partitions: list[Partition]) -> None:
    """Each once, and only with a tenure."""
    partitions[1].lose()
    pausing.apply(partitions)
    pausing.apply(partitions)
    assert world.fetched == [0]
    assert [partition.fetching for partition in partitions] == [True, False]


def test_what_the_intake_has_interrupted_goes_on_where_it_was(
    world: World, pausing: Pausing, partitions: list[Partition]
) -> None:
    """Unless something else pauses it."""
    pausing.apply(partitions)
    world.interrupted = {partition.topic_partition for partition in partitions}
    world.standing[0] = Pause("alice", 1, "maintenance")
    world.fetched = []
    pausing.apply(partitions)
    assert world.fetched == [1]
    assert [partition.fetching for partition in partitions] == [False, True]


def test_a_standing_pause_holds_its_partition_alone(
    world: World, pausing: Pausing, partitions: list[Partition]
) -> None:
    """From the first moment or from the middle, until it is lifted."""
    world.standing[0] = Pause("alice", 1, "maintenance")
    pausing.apply(partitions)
    assert (world.fetched, partitions[0].paused, partitions[1].paused) == ([1], PauseCause.OPERATOR, None)
    world.standing = {1: Pause("consumer", 1, "invalid", PauseCause.DEAD_LETTER_LIMIT)}
    pausing.apply(partitions)
    assert (world.fetched, partitions[0].paused, partitions[1].paused) == ([0], None, PauseCause.DEAD_LETTER_LIMIT)


def test_memory_holds_all(world: World, pausing: Pausing, partitions: list[Partition]) -> None:
    """And lets all go on."""
    pausing.apply(partitions)
    world.is_reached = True
    pausing.apply(partitions)
    assert (world.fetched, {partition.paused for partition in partitions}) == ([], {PauseCause.MEMORY})
    world.is_reached = False
    pausing.apply(partitions)
    assert world.fetched == [0, 1]


@pytest.mark.parametrize(("in_flight", "lowest"), [(10, None), (1, 0)], ids=["in flight", "span"])
def test_a_partition_past_its_own_limit_goes_on_well_below_it(
    world: World, pausing: Pausing, partitions: list[Partition], in_flight: int, lowest: int | None
) -> None:
    """At 80 % of it."""
    first = partitions[0]
    first.in_flight, first.lowest, first.expected = in_flight, lowest, 100
    pausing.apply(partitions)
    assert (world.fetched, first.paused) == ([1], PauseCause.LIMIT)
    first.in_flight, first.expected = (8, 100) if lowest is None else (1, 80)
    pausing.apply(partitions)
    assert world.fetched == [1]
    first.in_flight, first.expected = 7, 79
    pausing.apply(partitions)
    assert (world.fetched, first.paused) == ([1, 0], None)


def test_after_trouble_only_what_nothing_pauses_goes_on(
    world: World, pausing: Pausing, partitions: list[Partition]
) -> None:
    """An operator's pause outlives an outage."""
    pausing.apply(partitions)
    pausing.hold(partitions)
    assert world.fetched == []
    world.standing[1] = Pause("alice", 1, "maintenance")
    pausing.apply(partitions)
    assert world.fetched == [0]


def test_a_partition_that_could_not_go_on_is_tried_again(
    world: World, pausing: Pausing, partitions: list[Partition]
) -> None:
    """Kafka did not take the seek: it is not fetched, and not forgotten."""
    world.kafka_is_away = True
    with pytest.raises(KafkaUnavailable):
        pausing.apply(partitions)
    world.kafka_is_away = False
    pausing.apply(partitions)
    assert world.fetched == [0, 1]


def test_the_reason_is_what_a_person_must_act_on(world: World, pausing: Pausing, partitions: list[Partition]) -> None:
    """Memory and limits pass by themselves; a standing pause does not."""
    world.is_reached, world.standing[0], partitions[0].in_flight = True, Pause("alice", 1, "maintenance"), 10
    pausing.apply(partitions)
    assert [partition.paused for partition in partitions] == [PauseCause.OPERATOR, PauseCause.MEMORY]
