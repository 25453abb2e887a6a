"""Settings → librdkafka properties."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from ferry_producer.properties import checked_topic, producer_properties
from ferry_shared.errors import ConfigurationError
from ferry_shared.settings import ProducerSettings


def settings(**values: object) -> ProducerSettings:
    """Settings with these values, whatever the environment and the working directory hold."""
    return ProducerSettings.model_validate(ProducerSettings.model_construct().model_dump() | values)


@pytest.mark.parametrize(
    ("acks", "retries", "idempotent"),
    [("all", None, True), ("all", 5, True), ("all", 0, False), ("1", None, False), ("0", 3, False)],
)
def test_idempotent_unless_acks_or_retries_forbid_it(acks: str, retries: int | None, idempotent: bool) -> None:
    """librdkafka itself accepts each combination."""
    properties = producer_properties(settings(producer_acks=acks, producer_retries=retries))
    assert properties["enable.idempotence"] is idempotent
    assert properties.get("retries") == retries
    Producer(dict(properties) | {"bootstrap.servers": "", "log_level": 0})


def test_the_user_wins() -> None:
    """A property given in KAFKA_CLIENT_PROPERTIES replaces ours."""
    given = {"linger.ms": 50, "partitioner": "random", "enable.idempotence": False, "compression.type": "lz4"}
    properties = producer_properties(settings(kafka_client_properties=given))
    assert given.items() <= properties.items()


@pytest.mark.parametrize(
    "name", ["acks", "request.required.acks", "retries", "message.send.max.retries", "delivery.report.only.error"]
)
def test_what_the_exit_code_rests_on_is_refused(name: str) -> None:
    """A property with a setting of its own, or that hides acknowledgements, is refused by name."""
    with pytest.raises(ConfigurationError, match=f"KAFKA_CLIENT_PROPERTIES: {name} can't be set here"):
        producer_properties(settings(kafka_client_properties={name: 1}))


@pytest.mark.parametrize("value", [True, "true"])
def test_idempotence_needs_acks(value: object) -> None:
    """Asking for both idempotence and acks=1 is a contradiction, told in Ferry's own names."""
    with pytest.raises(ConfigurationError, match="needs PRODUCER_ACKS=all"):
        producer_properties(settings(producer_acks="1", kafka_client_properties={"enable.idempotence": value}))


def test_linger_is_shorter_than_the_delivery_timeout() -> None:
    """Otherwise every message would time out before it is sent."""
    with pytest.raises(ConfigurationError, match="PRODUCER_LINGER_MS"):
        producer_properties(settings(producer_linger_ms=100, producer_delivery_timeout_ms=100))


@pytest.mark.parametrize("name", ["messages", "a", "A.b-c_9", "x" * 249, "..."])
def test_topic_names(name: str) -> None:
    """What Kafka accepts is accepted."""
    assert checked_topic(name, "--topic") == name


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ü", "x" * 250, "a\n"])
def test_wrong_topic_names(name: str) -> None:
    """What Kafka refuses is a configuration error that names its origin."""
    with pytest.raises(ConfigurationError, match=r"^--topic: expected a topic name"):
        checked_topic(name, "--topic")
