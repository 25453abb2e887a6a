"""Commits are waited for within bounds, one at a time, and nothing that arrives meanwhile is lost or out of place."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from ferry_consumer import intake as intake_module
from ferry_consumer.intake import Intake
from ferry_consumer.resume import Committed
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.record import TopicPartition
from ferry_shared.settings import ConsumerSettings
from tests.support.fetched_message import fetched

FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)


DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Answered(NamedTuple):
    """A partition in an answer; confluent_kafka's own can't be given an error."""

    topic: str
    partition: int
    offset: int
    metadata: str | None
    error: KafkaError | None


class Client:
    """confluent_kafka's Consumer: what is polled, and what answers a commit, is the test's."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.on_commit = properties["on_commit"]
        self.sent: list[list[KafkaPartition]] = []
        self.polled: list[Message | Callable[[], None]] = []
        self.answers_commits_with: KafkaError | None = None
        self.answers = True
        self.refused: set[int] = set()
        self.stored: list[Answered] | KafkaException = []
        self.on_revoke: Callable[..., None]
        self.leaves_after_seconds = 0.0
        self.lingered: list[float] = []
        self.asked_for: list[int] = []
        self.paused: list[TopicPartition] = []

    def subscribe(
        self, _topics: list[str], *, on_assign: object, on_revoke: Callable[..., None], on_lost: object
    ) -> None:
        """Keep what hears of a revocation."""
        assert on_assign
        assert on_lost == on_revoke
        self.on_revoke = on_revoke

    def commit(self, *, offsets: list[KafkaPartition], asynchronous: bool) -> None:
        """Take a commit; the answer comes with a poll."""
        assert asynchronous, "a synchronous one waits without end"
        self.sent.append(offsets)
        if self.answers:
            self.answer()

    def answer(self) -> None:
        """Answer the last commit at the next poll."""
        answered = [
            Answered(*_fields(item), DENIED if item.partition in self.refused else None) for item in self.sent[-1]
        ]
        self.polled.append(lambda: self.on_commit(self.answers_commits_with, answered))

    def poll(self, timeout: float) -> Message | None:
        """The next record, or a callback."""
        if not self.polled:
            time.sleep(timeout)
            return None
        found = self.polled.pop(0)
        if isinstance(found, Message):
            return found
        found()
        return None

    def consume(self, count: int, timeout: float) -> list[Message]:
        """Nothing more has arrived."""
        assert count > 0
        self.asked_for.append(count)
        self.lingered.append(timeout)
        return []

    def committed(self, _places: list[KafkaPartition], timeout: float) -> list[Answered]:
        """What the test stored."""
        assert timeout > 0
        if isinstance(self.stored, KafkaException):
            raise self.stored
        return self.stored

    def pause(self, places: list[KafkaPartition]) -> None:
        """Note which."""
        self.paused += [TopicPartition(item.topic, item.partition) for item in places]

    def seek(self, _place: KafkaPartition) -> None:
        """Nothing to do."""

    def incremental_unassign(self, _places: list[KafkaPartition]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Leave, at the coordinator's pace."""
        time.sleep(self.leaves_after_seconds)


def _fields(item: KafkaPartition) -> tuple[str, int, int, str | None]:
    return item.topic, item.partition, item.offset, item.metadata


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client that an intake gets."""
    made = Client({"on_commit": None})

    def make(properties: dict[str, Any]) -> Client:
        made.on_commit = properties["on_commit"]
        return made

    monkeypatch.setattr(confluent_kafka, "Consumer", make)
    monkeypatch.setattr(intake_module, "REQUEST_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(intake_module, "LEAVE_TIMEOUT_SECONDS", 0.2)
    return made


@pytest.fixture
def intake(client: Client) -> Intake:
    """A member of a group."""
    assert client.sent == []
    made = Intake(ConsumerSettings())
    made.subscribe(["orders"])
    return made


def record(place: TopicPartition, offset: int) -> Message:
    """A record as it arrives."""
    return Message(place.topic, place.partition, offset, value=b"{}")


def offsets_of(messages: list[Message]) -> list[tuple[int | None, int | None]]:
    """Partition and offset of each."""
    return [(message.partition(), message.offset()) for message in messages]


def test_a_commit_that_is_answered_is_confirmed(client: Client, intake: Intake) -> None:
    """With the metadata under which it was sent."""
    assert intake.commit_and_wait({FIRST: (5, "signed")}) == {}
    assert intake.take_committed() == {FIRST: Committed(5, "signed")}
    assert len(client.sent) == 1


def test_a_coordinator_that_stands_still_is_waited_for_within_bounds(client: Client, intake: Intake) -> None:
    """Measured: with the coordinator stopped, librdkafka's own synchronous commit had not returned after 84 s."""
    client.answers = False
    started = time.monotonic()
    with pytest.raises(KafkaUnavailable, match="coordinator"):
        intake.commit_and_wait({FIRST: (5, "signed")})
    assert time.monotonic() - started < 2.0


def test_only_one_commit_is_under_way(client: Client, intake: Intake) -> None:
    """A late answer to an earlier one must not pass for the answer to a later one."""
    client.answers = False
    intake.commit({FIRST: (5, "first")})
    intake.commit({FIRST: (6, "second")})
    with pytest.raises(KafkaUnavailable, match="coordinator"):
        intake.commit_and_wait({FIRST: (7, "third")})
    assert [sent[0].offset for sent in client.sent] == [5]
    client.answer()
    client.answers = True
    intake.commit_and_wait({FIRST: (8, "fourth")})
    assert [sent[0].offset for sent in client.sent] == [5, 8]
    assert intake.take_committed() == {FIRST: Committed(8, "fourth")}


def test_a_refused_commit_is_an_error_and_an_end(client: Client, intake: Intake) -> None:
    """It is no member of the group any more; the next commit is sent all the same."""
    client.answers_commits_with = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
    with pytest.raises(KafkaUnavailable, match="committing"):
        intake.prove_membership({FIRST: Committed(5, "signed"), SECOND: None})
    client.answers_commits_with = None
    assert intake.commit_and_wait({FIRST: (6, "signed")}) == {}


def test_another_consumer_of_the_same_name_ends_this_one(client: Client, intake: Intake) -> None:
    """No waiting mends that."""
    client.answers_commits_with = KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced by another")
    with pytest.raises(ConfigurationError, match="CONSUMER_INSTANCE_ID"):
        intake.commit_and_wait({FIRST: (5, "signed")})


def test_what_kafka_refuses_of_a_commit_is_told_by_partition(client: Client, intake: Intake) -> None:
    """The rest is confirmed."""
    client.refused = {1}
    assert set(intake.commit_and_wait({FIRST: (5, "a"), SECOND: (6, "b")})) == {SECOND}
    assert intake.take_committed() == {FIRST: Committed(5, "a")}


def test_membership_is_proven_by_what_could_be_read(client: Client, intake: Intake) -> None:
    """Unchanged; a partition without a commit, or with one that can't be read, has nothing to commit again."""
    intake.prove_membership({FIRST: Committed(5, None), SECOND: KafkaUnavailable("unstable")})
    assert [(item.partition, item.offset, item.metadata) for item in client.sent[0]] == [(0, 5, "")]
    intake.prove_membership({FIRST: None})
    assert len(client.sent) == 1


def test_an_unreadable_commit_is_its_own_partitions(client: Client, intake: Intake) -> None:
    """Raised for all, one of them would keep the others from being taken up."""
    client.stored = [
        Answered(*FIRST, -1, None, KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)),
        Answered(*SECOND, 6, None, None),
        Answered("orders", 2, -1001, None, None),
    ]
    found = intake.committed([FIRST, SECOND, TopicPartition("orders", 2)])
    assert isinstance(found[FIRST], KafkaUnavailable)
    assert (found[SECOND], found[TopicPartition("orders", 2)]) == (Committed(6, None), None)
    client.stored = KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))
    with pytest.raises(KafkaUnavailable):
        intake.committed([FIRST])


def test_records_that_arrive_while_it_waits_come_with_the_next_take(client: Client, intake: Intake) -> None:
    """In order: librdkafka won't fetch them again."""
    client.polled = [record(FIRST, 3), record(SECOND, 8), record(FIRST, 4)]
    intake.commit_and_wait({FIRST: (3, "signed")})
    client.polled = [record(FIRST, 5)]
    assert offsets_of(intake.take(0.0)) == [(0, 3), (1, 8), (0, 4), (0, 5)]
    assert intake.take(0.0) == []


@pytest.mark.parametrize(
    "set_back",
    [
        lambda intake, _client: intake.pause([FIRST]),
        lambda intake, _client: intake.seek(FIRST, 1),
        lambda _intake, client: client.on_revoke(client, [KafkaPartition(*FIRST)]),
    ],
    ids=["paused", "sought", "revoked"],
)
def test_records_of_a_partition_that_was_set_back_are_dropped(
    client: Client, intake: Intake, set_back: Callable[[Intake, Client], None]
) -> None:
    """Dispatched after a seek to before them, they would hide everything in between."""
    client.polled = [record(FIRST, 3), record(SECOND, 8)]
    intake.commit_and_wait({FIRST: (3, "signed")})
    set_back(intake, client)
    assert offsets_of(intake.take(0.0)) == [(1, 8)]


@pytest.mark.parametrize(("early", "asked_for"), [(0, [9]), (3, [6]), (9, []), (10, [])])
def test_what_came_early_counts_among_what_is_taken_at_once(client: Client, early: int, asked_for: list[int]) -> None:
    """Ten, and the one that is waited for."""
    intake = Intake(ConsumerSettings(consumer_intake_max_messages=10))
    client.polled = [record(FIRST, offset) for offset in range(early)]
    intake.commit_and_wait({FIRST: (3, "signed")})
    client.polled = [record(FIRST, early)]
    assert offsets_of(intake.take(0.0)) == [(0, offset) for offset in range(early + 1)]
    assert client.asked_for == asked_for


def test_a_flood_while_it_waits_is_held_until_it_is_wanted(client: Client) -> None:
    """Not more is kept than is taken in at once; what it is of goes on where it was."""
    intake = Intake(ConsumerSettings(consumer_intake_max_messages=10))
    client.polled = [record(FIRST, offset) for offset in range(10)]
    intake.commit_and_wait({FIRST: (3, "signed")})
    assert client.paused == []
    assert intake.take_interrupted() == set()

    client.polled = [record(SECOND, 0)]
    intake.commit_and_wait({FIRST: (3, "signed")})
    assert set(client.paused) == {FIRST, SECOND}
    assert intake.take_interrupted() == {FIRST, SECOND}
    assert intake.take_interrupted() == set()
    assert intake.take(0.0) == []


def test_how_long_to_linger_is_asked_once_there_is_a_record(client: Client, intake: Intake) -> None:
    """What was known before a poll can be old after it; and behind the end of a partition nothing is waited for."""
    asked: list[bool] = []

    def linger() -> float:
        asked.append(not client.polled)
        return 0.025

    assert intake.take(0.0, linger) == []
    assert (asked, client.lingered) == ([], [])
    client.polled = [record(FIRST, 3)]
    assert offsets_of(intake.take(0.0, linger)) == [(0, 3)]
    assert (asked, client.lingered) == ([True], [0.025])
    client.polled = [fetched(4, topic=FIRST.topic, error=KafkaError._PARTITION_EOF)]
    assert offsets_of(intake.take(0.0, linger)) == [(0, 4)]
    assert client.lingered == [0.025, 0.0]


def test_what_is_revoked_while_it_waits_is_known_at_once(client: Client, intake: Intake) -> None:
    """The loop hears of it only at its next turn."""
    client.polled = [lambda: client.on_revoke(client, [KafkaPartition(*SECOND)])]
    intake.commit_and_wait({FIRST: (3, "signed")})
    assert (intake.has_lost(FIRST), intake.has_lost(SECOND)) == (False, True)
    assert intake.take_gone() == [SECOND]


def test_a_coordinator_that_stands_still_does_not_keep_it_from_leaving(
    client: Client, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    """The session ends by itself."""
    client.leaves_after_seconds = 1.0
    started = time.monotonic()
    intake.close()
    assert time.monotonic() - started < 0.9
    assert "session's end" in caplog.text
