"""What Kafka says of several topics is asked for at once, and a topic that it can't tell of is an error of its own."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from ferry_consumer import topics as topics_module
from ferry_consumer.partition import Partition
from ferry_consumer.recreated_topics import RecreatedTopics
from ferry_consumer.topics import Identity, TopicNotYetKnown, Topics
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.message import Message
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.support.fake_kafka import FakeKafka
from tests.support.held_partition import held_partition


class Admin:
    """confluent_kafka's AdminClient; Kafka knows `ids`."""

    def __init__(self) -> None:
        self.ids = {"orders": "id-1", "bills": "id-2"}
        self.asked: list[list[str]] = []
        self.is_away = False
        self.refusal = KafkaError.UNKNOWN_TOPIC_OR_PART

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> dict[str, Future[Any]]:
        """One request, an answer for each topic."""
        assert request_timeout > 0
        self.asked.append(list(topics.topic_names))
        return {name: self._answer(name in self.ids, topic_id=self.ids.get(name)) for name in topics.topic_names}

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Metadata, of a topic that is there: another one might be created by that."""
        assert timeout > 0
        assert topic in self.ids
        return self._answer(True, cluster_id="cluster").result()

    def _answer(self, known: bool, **fields: str | None) -> Future[Any]:
        future: Future[Any] = Future()
        if self.is_away or not known:
            code = KafkaError._TIMED_OUT if self.is_away else self.refusal
            future.set_exception(KafkaException(KafkaError(code)))
        else:
            future.set_result(SimpleNamespace(**fields))
        return future


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    """The admin client that `Topics` gets."""
    made = Admin()
    monkeypatch.setattr(topics_module, "created", lambda _kind, _properties: made)
    return made


@pytest.fixture
def topics(admin: Admin) -> Topics:
    """Asks that one."""
    assert admin.asked == []
    return Topics(ConsumerSettings())


def owned(topic: str, topic_id: str) -> Partition:
    """A partition whose ledger is for this id."""
    return held_partition(Route(topic, Message, "task"), topic_id=topic_id)


def test_all_identities_are_asked_for_in_one_request(admin: Admin, topics: Topics) -> None:
    """A hundred topics, one after the other, would hold the loop for a hundred round trips."""
    assert topics.identities(["orders", "bills"]) == {
        "orders": Identity("cluster", "id-1"),
        "bills": Identity("cluster", "id-2"),
    }
    assert admin.asked == [["orders", "bills"]]


def test_no_topic_is_nothing_to_ask(admin: Admin, topics: Topics) -> None:
    """Kafka's client refuses an empty list."""
    assert topics.identities([]) == {}
    assert admin.asked == []


@pytest.mark.parametrize("refusal", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN])
def test_a_topic_that_kafka_cannot_tell_of_is_no_error_of_the_others(
    admin: Admin, topics: Topics, refusal: int
) -> None:
    """It stands in its place; Kafka's own UNKNOWN_SERVER_ERROR has a negative code, as the client's errors have."""
    admin.refusal = refusal
    found = topics.identities(["orders", "gone"])
    assert found["orders"] == Identity("cluster", "id-1")
    assert isinstance(found["gone"], KafkaUnavailable)


def test_where_no_topic_is_there_kafka_has_answered(topics: Topics) -> None:
    """Each is told by itself."""
    assert isinstance(topics.identities(["gone"])["gone"], KafkaUnavailable)


def test_any_answer_is_a_sign_of_life(admin: Admin, topics: Topics) -> None:
    """Also that there is no such topic."""
    topics.ping()
    admin.is_away = True
    with pytest.raises(KafkaUnavailable):
        topics.ping()


def test_a_kafka_that_does_not_answer_is_an_error(admin: Admin, topics: Topics) -> None:
    """Of all."""
    admin.is_away = True
    with pytest.raises(KafkaUnavailable):
        topics.identities(["orders"])


def test_only_partitions_of_a_topic_that_was_created_anew_are_let_go(admin: Admin, topics: Topics) -> None:
    """Neither those of one that Kafka can't tell of now, nor any while it is away."""
    partitions = [owned("orders", "id-1"), owned("bills", "older"), owned("gone", "id-3")]
    admin.is_away = True
    RecreatedTopics(topics).look(partitions)
    assert all(partition.tenure for partition in partitions)
    admin.is_away = False
    admin.asked.clear()
    RecreatedTopics(topics).look(partitions)
    assert [partition.tenure is None for partition in partitions] == [False, True, False]
    assert [sorted(asked) for asked in admin.asked] == [["bills", "gone", "orders"]]


def test_a_narrow_dead_letter_topic_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is there already; what is missing is created with room, the topics first."""
    kafka = FakeKafka()
    kafka.add("orders.dlq")
    monkeypatch.setattr(topics_module, "created", kafka.connected)
    caplog.set_level("INFO")
    Topics(ConsumerSettings()).create_missing(["orders", "bills"])
    assert [record.getMessage() for record in caplog.records] == [
        "created the topic orders",
        "created the topic bills",
        "created the topic bills.dlq",
        "orders.dlq takes at most 1048588 bytes, orders up to 1048588: set max.message.bytes of orders.dlq to 2097176, "
        "for a dead letter is its record plus headers",
    ]
    assert kafka.topics["bills.dlq"].config["max.message.bytes"] == "2097176"
    caplog.clear()
    Topics(ConsumerSettings()).create_missing(["bills"])
    assert caplog.records == []


def test_a_topic_that_is_not_known_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka's brokers hear of a new topic one after the other: that is no other trouble than Kafka being away."""
    kafka = FakeKafka(lag=1)
    monkeypatch.setattr(topics_module, "created", kafka.connected)
    topics = Topics(ConsumerSettings())
    with pytest.raises(TopicNotYetKnown):
        topics.create_missing(["orders"])
    topics.create_missing(["orders"])
    assert set(kafka.topics) == {"orders", "orders.dlq"}
