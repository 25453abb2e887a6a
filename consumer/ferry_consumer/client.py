"""librdkafka's clients, whose refusal of a property is a wrong setting."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from ferry_shared.errors import ConfigurationError

ClientT = TypeVar("ClientT")


def created(client: Callable[[dict[str, Any]], ClientT], properties: Mapping[str, object]) -> ClientT:
    """Make a client.

    Raises:
        ConfigurationError: librdkafka doesn't know a property, or can't use its value (a file that isn't there).
    """
    try:
        return client(dict(properties))
    except KafkaException as error:
        problem = f"KAFKA_CLIENT_PROPERTIES, or another KAFKA_ setting: {error.args[0].str()}"
    raise ConfigurationError(problem)
