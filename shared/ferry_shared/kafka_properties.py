"""`KAFKA_CLIENT_PROPERTIES`: any librdkafka property, except those that Ferry's promises rest on."""

from typing import Annotated

import orjson
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

PropertyValue = str | int | float | bool

#: Each of these would silently break a promise (ledger.md, "Limits"); `isolation.level` is free.
RESERVED = frozenset(
    {
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "group.protocol",
        "group.remote.assignor",
        "partition.assignment.strategy",
    }
)


def properties_from_json(value: object) -> object:
    """Turn the variable's JSON text into properties.

    Raises:
        ValueError: with what is expected; it never repeats the text, which may hold a password.
    """
    properties = value
    if isinstance(value, str):
        try:
            properties = orjson.loads(value)
        except orjson.JSONDecodeError:
            properties = None
    if not isinstance(properties, dict) or not all(isinstance(item, PropertyValue) for item in properties.values()):
        raise ValueError('expected a JSON object of librdkafka properties, such as {"socket.timeout.ms": 10000}')
    if taken := sorted(RESERVED & properties.keys()):
        raise ValueError(f"{', '.join(taken)} can't be set here: Ferry's promises rest on it")
    return properties


KafkaProperties = Annotated[dict[str, PropertyValue], NoDecode, BeforeValidator(properties_from_json)]
