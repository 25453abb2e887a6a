"""Partitions are taken up on a real ledger; Kafka's answers are the test's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from ferry_consumer.commit import Signature
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Place
from ferry_consumer.recovery import Recovery
from ferry_consumer.resume import Committed
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.standing_pauses import StandingPauses
from ferry_consumer.topics import Identity
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.pauses import Pause, pause, read_pauses, unpause
from ferry_shared.message import Message
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings, load

ROUTE = Route("orders", Message, "task")


class KafkaSays:
    """Intake and topics in one: what the test wants Kafka to answer, and what was asked of it."""

    def __init__(
        self, ranges: Mapping[int, tuple[int, int]], commits: Mapping[int, Committed | KafkaUnavailable]
    ) -> None:
        """Log ranges and commits by partition; a partition without a range has no leader."""
        self.ranges, self.commits = ranges, dict(commits)
        self.signed: dict[int, tuple[int, str]] = {}
        self.commits_made: list[set[int]] = []
        self.sought: dict[int, int] = {}
        self.revoked: set[int] = set()
        self.refuses_commits = False
        self.refuses_commits_of: set[int] = set()
        self.coordinator_is_away = False
        self.topic_id = "topic-id"
        self.meanwhile: Callable[[], None] = lambda: None
        self.partitions = 1

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | KafkaUnavailable | None]:
        """The group's commits."""
        if self.coordinator_is_away:
            raise KafkaUnavailable("the coordinator does not answer")
        return {place: self.commits.get(place.partition) for place in places}

    def log_ranges(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """What the partitions with a leader hold; Kafka's client raises where none of them has one."""
        found = {place: self.ranges[place.partition] for place in places if place.partition in self.ranges}
        if not found:
            raise KafkaUnavailable("no leaders found")
        return found

    def prove_membership(self, commits: object) -> None:
        """This is a member; what happens `meanwhile` happens right after."""
        self.meanwhile()

    def partition_count(self, topic: str) -> int:
        """Unless a test says so one: no other partition makes the topic known."""
        return self.partitions

    def identities(self, topics: Iterable[str]) -> dict[str, Identity | KafkaUnavailable]:
        """Always the same cluster."""
        return {topic: Identity("cluster", self.topic_id) for topic in topics}

    def has_lost(self, place: TopicPartition) -> bool:
        """What was revoked while an answer was waited for."""
        return place.partition in self.revoked

    def commit_and_wait(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> dict[TopicPartition, str]:
        """Take a commit."""
        self.commits_made.append({place.partition for place in offsets})
        if self.refuses_commits:
            raise KafkaUnavailable("no")
        refused = {place: "not this one" for place in offsets if place.partition in self.refuses_commits_of}
        taken = {place.partition: signed for place, signed in offsets.items() if place not in refused}
        self.signed |= taken
        self.commits |= {partition: Committed(*signed) for partition, signed in taken.items()}
        return refused

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Note where it goes on."""
        self.sought[place.partition] = offset


@pytest.fixture
def partitions(redis_url: str) -> list[Partition]:
    """Two partitions, just assigned."""
    places = [TopicPartition("orders", number) for number in range(2)]
    return [
        Partition(Place(place, ROUTE, ROUTE.adapter, LedgerKeys.of("", "ferry", place), "celery")) for place in places
    ]


def take_up(
    redis_url: str, kafka: KafkaSays, partitions: list[Partition], pauses: StandingPauses | None = None
) -> None:
    """Take them up."""
    says, client, settings = cast("Any", kafka), connect(redis_url), load(ConsumerSettings)
    known = pauses or StandingPauses(settings, client)
    Recovery(settings, client, says, says, Metrics(), ServerClock(), known).take_up(partitions)


def test_a_partition_without_a_leader_holds_up_no_other(redis_url: str, partitions: list[Partition]) -> None:
    """It is tried again in a second; the other one runs."""
    kafka = KafkaSays({1: (0, 10)}, {})
    take_up(redis_url, kafka, partitions)
    assert [partition.tenure is not None for partition in partitions] == [False, True]
    assert kafka.sought == {1: 0}
    assert not partitions[0].is_to_be_acquired


def test_a_partition_that_is_alone_without_a_leader_waits_too(redis_url: str, partitions: list[Partition]) -> None:
    """The others are at work already: an error here would end the turn of all of them."""
    take_up(redis_url, KafkaSays({1: (0, 10)}, {}), partitions[:1])
    assert partitions[0].tenure is None
    assert not partitions[0].is_to_be_acquired


def test_a_coordinator_that_does_not_answer_is_an_error_of_nobody_else(
    redis_url: str, partitions: list[Partition]
) -> None:
    """The partitions that are at work already go on; these wait, and are taken up once it answers."""
    kafka = KafkaSays({0: (0, 10), 1: (0, 10)}, {})
    kafka.coordinator_is_away = True
    take_up(redis_url, kafka, partitions)
    assert not any(partition.tenure or partition.is_to_be_acquired for partition in partitions)
    kafka.coordinator_is_away = False
    take_up(redis_url, kafka, partitions)
    assert all(partition.tenure for partition in partitions)


def test_an_unreadable_commit_holds_up_its_own_partition_only(redis_url: str, partitions: list[Partition]) -> None:
    """A start without it would be a guess."""
    kafka = KafkaSays({0: (0, 10), 1: (0, 10)}, {0: KafkaUnavailable("unstable")})
    take_up(redis_url, kafka, partitions)
    assert [partition.tenure is not None for partition in partitions] == [False, True]
    assert connect(redis_url).exists(partitions[0].place.keys.head) == 0


def test_starts_are_signed_in_one_commit(redis_url: str, partitions: list[Partition]) -> None:
    """One after the other each would wait for the coordinator."""
    kafka = KafkaSays({0: (0, 10), 1: (0, 10)}, {})
    take_up(redis_url, kafka, partitions)
    assert kafka.commits_made == [{0, 1}]


def test_a_signature_that_kafka_refuses_holds_up_its_own_partition_only(
    redis_url: str, partitions: list[Partition]
) -> None:
    """Nothing is dispatched from an unsigned start."""
    kafka = KafkaSays({0: (0, 10), 1: (0, 10)}, {})
    kafka.refuses_commits_of = {0}
    take_up(redis_url, kafka, partitions)
    assert [partition.tenure is not None for partition in partitions] == [False, True]
    assert kafka.sought == {1: 0}


def test_a_partition_that_is_revoked_before_its_ledger_is_taken_is_left_alone(
    redis_url: str, partitions: list[Partition]
) -> None:
    """It is its next owner's: neither ledger nor position change."""
    kafka = KafkaSays({0: (0, 10), 1: (0, 10)}, {})
    kafka.meanwhile = lambda: kafka.revoked.add(0)
    take_up(redis_url, kafka, partitions)
    assert connect(redis_url).exists(partitions[0].place.keys.head) == 0
    assert kafka.commits_made == [{1}]


def test_a_partition_that_is_revoked_while_its_start_is_signed_does_not_begin(
    redis_url: str, partitions: list[Partition]
) -> None:
    """A seek would assign it again on its own."""

    class Revoking(KafkaSays):
        def commit_and_wait(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> dict[TopicPartition, str]:
            """While it waits, the group takes a partition back."""
            self.revoked.add(0)
            return super().commit_and_wait(offsets)

    kafka = Revoking({0: (0, 10), 1: (0, 10)}, {})
    take_up(redis_url, kafka, partitions)
    assert [partition.tenure is not None for partition in partitions] == [False, True]
    assert kafka.sought == {1: 0}


def test_a_fresh_start_is_signed_at_once(redis_url: str, partitions: list[Partition]) -> None:
    """Before anything is dispatched from it."""
    kafka = KafkaSays({0: (5, 10)}, {})
    take_up(redis_url, kafka, partitions[:1])
    offset, metadata = kafka.signed[0]
    signature = Signature.parse(metadata)
    assert (offset, signature is not None and signature.topic_id) == (5, "topic-id")


def test_latest_holds_for_every_partition_of_a_topic_that_is_new_to_the_group(
    redis_url: str, partitions: list[Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether one consumer takes them up or several: that one has been committed already makes the next one not old."""
    monkeypatch.setenv("CONSUMER_OFFSET_RESET", "latest")
    kafka = KafkaSays({0: (0, 10), 1: (0, 20)}, {})
    kafka.partitions = 2
    for partition in partitions:
        take_up(redis_url, kafka, [partition])
    assert kafka.sought == {0: 10, 1: 20}


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_added_partition_starts_at_its_beginning_with_latest_too(
    redis_url: str, partitions: list[Partition], monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    """Also after the first one was acquired again since, or where its ledger doesn't know how many there were."""
    monkeypatch.setenv("CONSUMER_OFFSET_RESET", "latest")
    kafka = KafkaSays({0: (0, 10), 1: (0, 20)}, {})
    take_up(redis_url, kafka, partitions[:1])
    kafka.partitions = 2
    if forgotten:
        connect(redis_url).hdel(partitions[0].place.keys.head, "partitions")
    partitions[0].lose()
    take_up(redis_url, kafka, partitions)
    assert kafka.sought == {0: 10, 1: 0}


def test_after_a_truncation_the_commit_is_brought_down(redis_url: str, partitions: list[Partition]) -> None:
    """Left too high, it would make the next acquisition skip what Kafka has got since."""
    take_up(redis_url, KafkaSays({0: (0, 1000)}, {}), partitions[:1])
    high = Committed(1000, str(Signature("ledger", "topic-id", 1)))
    kafka = KafkaSays({0: (0, 900)}, {0: high})
    partitions[0].lose()
    take_up(redis_url, kafka, partitions[:1])
    assert kafka.signed[0][0] == 900
    assert kafka.sought == {0: 900}


def test_an_acquisition_tells_its_facts_as_fields(
    redis_url: str, partitions: list[Partition], caplog: pytest.LogCaptureFixture
) -> None:
    """Machines read from the log why what is dispatched again."""
    take_up(redis_url, KafkaSays({0: (0, 100)}, {}), partitions[:1])
    tenure = partitions[0].tenure
    assert tenure is not None
    partitions[0].expected = 60
    connect(redis_url).flushall()
    partitions[0].lose()
    caplog.clear()
    with caplog.at_level("INFO", "ferry.consumer"):
        signature = str(Signature(tenure.ownership.ledger, "topic-id", 1))
        take_up(redis_url, KafkaSays({0: (0, 100)}, {0: Committed(20, signature)}), partitions[:1])
    fields = ("topic", "partition", "offset", "reason", "entries", "dropped", "rewound")
    told = [record for record in caplog.records if hasattr(record, "rewound")]
    assert [[getattr(record, name) for name in fields] for record in told] == [
        ["orders", 0, 20, "ledger_lost", 0, 0, 40]
    ]


def test_a_rewind_is_counted_once_when_its_signature_fails(redis_url: str, partitions: list[Partition]) -> None:
    """The ledger has counted it; what follows is tried again."""
    take_up(redis_url, KafkaSays({0: (0, 100)}, {}), partitions[:1])
    partitions[0].expected = 60
    partitions[0].lose()
    kafka = KafkaSays({0: (0, 100)}, {0: Committed(20, "")})
    kafka.refuses_commits = True
    take_up(redis_url, kafka, partitions[:1])
    assert partitions[0].tenure is None
    kafka.refuses_commits, partitions[0].not_before = False, 0.0
    take_up(redis_url, kafka, partitions[:1])
    client = connect(redis_url)
    assert client.hget(partitions[0].place.keys.head, "rewound") == b"40"


@pytest.fixture
def pauses(redis_url: str) -> StandingPauses:
    """What this consumer knows of pauses: nothing yet."""
    return StandingPauses(load(ConsumerSettings), connect(redis_url))


def test_a_pause_is_read_before_anything_is_dispatched(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses
) -> None:
    """Also where the pause is older than the group's first consumer."""
    made, _ = pause(connect(redis_url), "", "ferry", "orders:0", Pause("alice", 0, "maintenance"))
    take_up(redis_url, KafkaSays({0: (0, 10), 1: (0, 10)}, {}), partitions, pauses)
    assert [pauses.of(partition.place.keys) for partition in partitions] == [made, None]
    assert [partition.fetching for partition in partitions] == [False, False]


def test_a_pause_that_redis_lost_with_the_ledger_is_written_again(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses
) -> None:
    """With its own who, when and why; and before the new ledger, so that nobody can read one without the other."""
    client, kafka = connect(redis_url), KafkaSays({0: (0, 10), 1: (0, 10)}, {})
    made, _ = pause(client, "", "ferry", "orders", Pause("alice", 0, "maintenance"))
    take_up(redis_url, kafka, partitions, pauses)
    client.flushall()
    for partition in partitions:
        partition.lose()
    take_up(redis_url, kafka, partitions, pauses)
    assert read_pauses(client, "", "ferry") == {"orders": made}
    assert pauses.of(partitions[1].place.keys) == made


def test_a_pause_of_a_partition_that_never_had_a_ledger_is_written_again_too(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses
) -> None:
    """It stood without one, and no head tells whether it was lost or lifted: what was stopped on purpose stays so."""
    client, kafka = connect(redis_url), KafkaSays({0: (0, 10)}, {})
    made, _ = pause(client, "", "ferry", "orders:0", Pause("alice", 0, "maintenance"))
    keys = partitions[0].place.keys
    pauses.note(keys, (None, made))
    client.flushall()
    assert partitions[0].highest_epoch == 0
    take_up(redis_url, kafka, partitions[:1], pauses)
    assert read_pauses(client, "", "ferry") == {"orders:0": made}
    assert (partitions[0].tenure is not None, pauses.of(keys)) == (True, made)


def test_a_resume_that_was_undone_holds_the_second_time(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses
) -> None:
    """The price of that: one that falls between the last reading and the first ledger has to be said again."""
    client, kafka = connect(redis_url), KafkaSays({0: (0, 10)}, {})
    made, _ = pause(client, "", "ferry", "orders:0", Pause("alice", 0, "maintenance"))
    pauses.note(partitions[0].place.keys, (None, made))
    unpause(client, "", "ferry", "orders:0")
    take_up(redis_url, kafka, partitions[:1], pauses)
    assert pauses.of(partitions[0].place.keys) == made
    unpause(client, "", "ferry", "orders:0")
    partitions[0].lose()
    take_up(redis_url, kafka, partitions[:1], pauses)
    assert (read_pauses(client, "", "ferry"), pauses.of(partitions[0].place.keys)) == ({}, None)


@pytest.mark.parametrize("field", ["epoch", "position", "committed"])
def test_a_redis_that_went_back_in_time_has_lost_a_pause_too(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses, field: str
) -> None:
    """A head older than this consumer's own last word: what is not beside it was not lifted."""
    client, kafka = connect(redis_url), KafkaSays({0: (0, 10)}, {})
    take_up(redis_url, kafka, partitions[:1])
    partitions[0].lose()
    take_up(redis_url, kafka, partitions[:1], pauses)
    partitions[0].expected = 5
    client.hset(partitions[0].place.keys.head, "position", 5)
    made, _ = pause(client, "", "ferry", "orders", Pause("alice", 0, "maintenance"))
    pauses.note(partitions[0].place.keys, (made, None))
    unpause(client, "", "ferry", "orders")
    client.hincrby(partitions[0].place.keys.head, field, -1)
    partitions[0].lose()
    take_up(redis_url, kafka, partitions[:1], pauses)
    assert read_pauses(client, "", "ferry") == {"orders": made}


def test_a_pause_that_was_lifted_while_the_partition_was_lost_stays_lifted(
    redis_url: str, partitions: list[Partition], pauses: StandingPauses
) -> None:
    """Beside a sound head that nobody set back, missing means resumed."""
    client, kafka = connect(redis_url), KafkaSays({0: (0, 10)}, {})
    pause(client, "", "ferry", "orders", Pause("alice", 0, "maintenance"))
    take_up(redis_url, kafka, partitions[:1], pauses)
    unpause(client, "", "ferry", "orders")
    partitions[0].lose()
    take_up(redis_url, kafka, partitions[:1], pauses)
    assert pauses.of(partitions[0].place.keys) is None
    assert read_pauses(client, "", "ferry") == {}
    assert pauses.take_lifted() == ["orders"]


def test_a_successor_is_not_overtaken_with_what_was_read_before_it(redis_url: str, partitions: list[Partition]) -> None:
    """A consumer stands still after it has read the commits; meanwhile the group is rewound and another one begins."""
    signed = Committed(5, str(Signature("ledger", "topic-id", 1)))
    kafka, later = KafkaSays({0: (0, 10)}, {0: signed}), KafkaSays({0: (0, 10)}, {0: Committed(2, "")})
    late, successor = partitions[0], replace(partitions[0])
    kafka.meanwhile = lambda: take_up(redis_url, later, [successor])
    take_up(redis_url, kafka, [late])
    assert (successor.tenure is not None, successor.expected) == (True, 2)
    assert late.tenure is None, "it acquired the ledger by the commit of before the rewind"
    kafka.meanwhile, kafka.commits = lambda: None, {0: Committed(*later.signed[0])}
    take_up(redis_url, kafka, [late])
    assert late.expected == 2


def test_a_topic_recreated_between_two_questions_begins_at_its_own_beginning(
    redis_url: str, partitions: list[Partition]
) -> None:
    """The new topic's id with the old one's range would pass over what the new one holds, for ever."""
    kafka = KafkaSays({0: (50, 60)}, {})

    class Recreated(KafkaSays):
        """Asked for one thing, it has another topic for the next question."""

        def log_ranges(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
            """The old topic's, the last it says of that."""
            ranges = super().log_ranges(places)
            self.ranges, self.topic_id = {0: (0, 3)}, "new"
            return ranges

    recreated = Recreated({0: (50, 60)}, {})
    take_up(redis_url, kafka, partitions[:1])
    recreated.commits = {0: Committed(*kafka.signed[0])}
    partitions[0].lose()
    take_up(redis_url, recreated, partitions[:1])
    partitions[0].lose()
    take_up(redis_url, recreated, partitions[:1])
    assert partitions[0].expected == 0
