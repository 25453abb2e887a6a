"""librdkafka's clients, whose refusal of a property is a wrong setting."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from confluent_kafka import KafkaException

from ferry_consumer.client_log import LOG_LEVEL_CRITICAL
from ferry_shared.errors import ConfigurationError

ClientT = TypeVar("ClientT")


def reader_properties(name: str) -> dict[str, object]:
    """What makes a client a mere reader, whatever the user's properties say: no group, no commit, no new topic."""
    return {
        "group.id": f"{name}-{uuid4().hex}",  # required by the client; no group is joined
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "log_level": LOG_LEVEL_CRITICAL,
    }


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
