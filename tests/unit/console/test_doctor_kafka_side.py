"""What the doctor reads out of Kafka's admin calls."""

import pytest
from confluent_kafka import KafkaError

from ferry_console.doctor import kafka_side
from ferry_console.doctor.kafka_facts import Absence, ClusterFacts, GroupFacts, PartitionFacts, TopicFacts, Unknown
from ferry_console.doctor.kafka_side import AWAY_REMEDY, KafkaSide, operation_names
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.settings import ConsumerSettings
from tests.support.fake_kafka import NEWEST_MS, FakeKafka
from tests.support.topic_facts import ALL_RIGHTS, CONFIG


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    """An empty Kafka."""
    made = FakeKafka()
    monkeypatch.setattr("ferry_consumer.client.created", made.connected)
    return made


@pytest.fixture
def side(kafka: FakeKafka) -> KafkaSide:
    """Asks that one."""
    assert kafka.topics == {}
    return KafkaSide(ConsumerSettings())


def test_a_cluster(side: KafkaSide) -> None:
    """Its id, its brokers, and what may be done with it."""
    assert side.cluster() == ClusterFacts("localhost:9092", "cluster", 1, ALL_RIGHTS)


def test_a_cluster_without_a_broker_in_service_is_not_described(kafka: FakeKafka, side: KafkaSide) -> None:
    """librdkafka would end the process."""
    kafka.has_brokers = False
    with pytest.raises(KafkaUnavailable, match="no broker is in service"):
        side.cluster()


def test_a_kafka_that_is_away_is_told_in_the_words_of_its_connections(kafka: FakeKafka, side: KafkaSide) -> None:
    """They say more than that the time was up; what to look at depends on them."""
    assert side.remedy == AWAY_REMEDY
    kafka.is_away = True
    with pytest.raises(KafkaUnavailable) as caught:
        side.cluster()
    assert str(caught.value).endswith("Connect to ipv4#127.0.0.1:9092 failed: Connection refused")
    assert "start Kafka" in side.remedy


def test_topics_with_all_that_is_told_of_them(kafka: FakeKafka, side: KafkaSide) -> None:
    """The newest timestamp is the highest of all partitions; a missing and a denied one stand in their places."""
    kafka.add("orders", partitions=2)
    kafka.add("secret")
    kafka.denied = {"secret"}
    partitions = tuple(PartitionFacts(number, has_leader=True, replicas=1, in_sync=1) for number in range(2))
    found = side.topics(["orders", "gone", "secret"])
    assert found["orders"] == TopicFacts("orders", partitions, ALL_RIGHTS, CONFIG, NEWEST_MS + 1000)
    absences = [one.absence for one in found.values() if isinstance(one, Unknown)]
    assert absences == [Absence.MISSING, Absence.DENIED]
    assert side.topics([]) == {}


def test_a_configuration_that_may_not_be_read_is_none(kafka: FakeKafka, side: KafkaSide) -> None:
    """The topic is told of all the same."""
    kafka.add("orders")
    kafka.configs_denied = True
    found = side.topics(["orders"])["orders"]
    assert isinstance(found, TopicFacts)
    assert found.config is None


def test_a_group(kafka: FakeKafka, side: KafkaSide) -> None:
    """Its state in lower case, its members; or that it may not be asked for."""
    kafka.members = 2
    assert side.group("ferry") == GroupFacts("ferry", "stable", 2, ALL_RIGHTS)
    kafka.denied = {"ferry"}
    denied = side.group("ferry")
    assert isinstance(denied, Unknown)
    assert denied.absence is Absence.DENIED


def test_a_group_is_asked_for_again_until_kafka_has_a_coordinator(
    kafka: FakeKafka, side: KafkaSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question of all makes Kafka create its topic of offsets; the patience has an end."""
    monkeypatch.setattr(kafka_side, "_ASK_AGAIN_SECONDS", 0.001)
    kafka.coordinator_missing_for = 2
    assert isinstance(side.group("ferry"), GroupFacts)
    monkeypatch.setattr(kafka_side, "REQUEST_TIMEOUT_SECONDS", 0.01)
    kafka.coordinator_missing_for = 1_000_000
    found = side.group("ferry")
    assert isinstance(found, Unknown)
    assert found.absence is Absence.FAILED


def test_an_error_without_words_is_told_by_its_name() -> None:
    """Kafka's answer to a question for a group may have none."""
    error = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, "ConsumerGroupDescribe: ")
    assert kafka_side._told(error) == "ConsumerGroupDescribe: COORDINATOR_NOT_AVAILABLE"
    assert kafka_side._told(KafkaError(KafkaError._TRANSPORT, "away")) == "away"


def test_rights_that_are_not_told_are_not_known() -> None:
    """confluent-kafka makes nothing of an empty list, too."""
    assert operation_names(None) is None
    assert operation_names([]) is None


def test_a_property_that_the_client_refuses_is_a_wrong_setting() -> None:
    """The real client is asked; it never connects."""
    with pytest.raises(ConfigurationError, match=r"no\.such\.property"):
        KafkaSide(ConsumerSettings(kafka_client_properties={"no.such.property": 1}))
