"""The publisher, before there is any Kafka."""

from __future__ import annotations

import pytest

from ferry_producer.messages import message_from
from ferry_producer.publisher import Publisher
from ferry_shared.errors import ConfigurationError
from ferry_shared.settings import ProducerSettings


def settings(**values: object) -> ProducerSettings:
    """Settings with these values, whatever the environment and the working directory hold."""
    return ProducerSettings.model_validate(ProducerSettings.model_construct().model_dump() | values)


async def test_a_publisher_must_be_open() -> None:
    """Sending without `async with` is told, not queued for ever."""
    publisher = Publisher(settings())
    with pytest.raises(RuntimeError, match="not open"):
        await publisher.send(message_from(b"a"))
    await publisher.flush()
    await publisher.close()
    assert publisher.pending == 0


async def test_a_refused_property_is_a_configuration_error() -> None:
    """librdkafka's own checks end as configuration errors, before Kafka is looked for."""
    publisher = Publisher(settings(kafka_client_properties={"queue.buffering.max.ms": "soon"}))
    with pytest.raises(ConfigurationError, match=r"queue\.buffering\.max\.ms"):
        await publisher.open()


def test_the_topic_is_the_settings_unless_given() -> None:
    """FERRY_TOPIC is the default, and a wrong one is named."""
    assert Publisher(settings(ferry_topic="orders")).topic == "orders"
    assert Publisher(settings(), topic="mine").topic == "mine"
    with pytest.raises(ConfigurationError, match="FERRY_TOPIC"):
        Publisher(settings(ferry_topic="a b"))
