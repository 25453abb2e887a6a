"""Before latency is measured, Kafka is warmed up."""

import pytest

from bench import warm_up as warming
from bench.failures import MeasurementFailed
from ferry_console.local.kafka import LocalKafka
from tests.support.kafka_records import create_topic, end_offsets


@pytest.fixture(autouse=True)
def topic_of_the_test(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    """Other tests use the same Kafka."""
    monkeypatch.setattr(warming, "TOPIC", topic)


def test_each_message_goes_there_and_comes_back(kafka: LocalKafka, topic: str) -> None:
    """As many as are asked for."""
    warming.warm_up(kafka.bootstrap_servers, messages=300)
    assert sum(end_offsets(kafka.bootstrap_servers, topic).values()) == 300


def test_what_kafka_refuses_is_told_at_once(kafka: LocalKafka, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of waiting for it to come back."""
    narrow = {"max.message.bytes": "100"}
    monkeypatch.setattr(warming, "create_topic", lambda servers, name: create_topic(servers, name, config=narrow))
    with pytest.raises(MeasurementFailed, match=r"Kafka can't be warmed up: .*too large"):
        warming.warm_up(kafka.bootstrap_servers, messages=300)


def test_it_has_an_end(kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow Kafka is."""
    monkeypatch.setattr(warming, "MAX_SECONDS", 0.0)
    with pytest.raises(MeasurementFailed, match="0 of 300 messages"):
        warming.warm_up(kafka.bootstrap_servers, messages=300)
