"""Settings → librdkafka properties, refused where they would break what the exit code promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from ferry_shared.kafka_properties import PropertyValue
    from ferry_shared.settings import ProducerSettings

#: librdkafka's own memory for messages that wait (its default is 1 GiB).
QUEUE_KIBIBYTES = 65_536
#: Topic names as Kafka checks them: org.apache.kafka.common.internals.Topic.
_TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
#: What may not come through KAFKA_CLIENT_PROPERTIES (aliases too), and what to do instead.
_TAKEN = {
    "acks": "use PRODUCER_ACKS or --acks",
    "request.required.acks": "use PRODUCER_ACKS or --acks",
    "retries": "use PRODUCER_RETRIES or --retries",
    "message.send.max.retries": "use PRODUCER_RETRIES or --retries",
    "delivery.report.only.error": "the producer waits for every delivery report",
    "transactional.id": "the producer sends without transactions",
}


def producer_properties(settings: ProducerSettings) -> dict[str, PropertyValue]:
    """Return what librdkafka's producer is made with; KAFKA_CLIENT_PROPERTIES win.

    The producer is idempotent (no duplicates and no reordering by retries) unless acks or retries forbid it.
    Keys are spread as Java clients do (murmur2), so that one key has one partition whoever sends.

    Raises:
        ConfigurationError: the settings contradict each other or what the exit code promises.
    """
    given = settings.kafka_client_properties
    for name, instead in _TAKEN.items():
        if name in given:
            raise ConfigurationError(f"KAFKA_CLIENT_PROPERTIES: {name} can't be set here: {instead}")
    idempotent = settings.producer_acks == "all" and settings.producer_retries != 0
    if given.get("enable.idempotence") in {True, "true"} and not idempotent:
        raise ConfigurationError(
            "KAFKA_CLIENT_PROPERTIES: enable.idempotence needs PRODUCER_ACKS=all and PRODUCER_RETRIES other than 0"
        )
    if settings.producer_linger_ms >= settings.producer_delivery_timeout_ms:
        raise ConfigurationError("PRODUCER_LINGER_MS: expected less than PRODUCER_DELIVERY_TIMEOUT_MS")
    ours: dict[str, PropertyValue] = {
        "acks": settings.producer_acks,
        "enable.idempotence": idempotent,
        "linger.ms": settings.producer_linger_ms,
        "message.timeout.ms": settings.producer_delivery_timeout_ms,
        "partitioner": "murmur2_random",
        "queue.buffering.max.kbytes": QUEUE_KIBIBYTES,
        "queue.buffering.max.messages": settings.producer_max_pending_messages,
    }
    if settings.producer_retries is not None:
        ours["retries"] = settings.producer_retries
    return ours | settings.client_properties()


def checked_topic(name: str, origin: str) -> str:
    """Return `name` if Kafka accepts it as a topic's name; `origin` names the setting or option it came from.

    Raises:
        ConfigurationError: it is none.
    """
    if not _TOPIC_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{origin}: expected a topic name: 1 to 249 letters, digits, dots, underscores, hyphens"
        )
    return name
