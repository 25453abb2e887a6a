"""Dead-letter topics: their names, and the room that a record with a dead letter's headers needs in them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, NewTopic

from ferry_shared.errors import ConfigurationError
from ferry_shared.record import MAX_TOPIC_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka.admin import AdminClient

log = logging.getLogger("ferry.consumer")

REQUEST_TIMEOUT_SECONDS = 5.0
#: Twice Kafka's default limit: what a sender compressed better than we do must fit, too.
LEAST_ROOM_BYTES = 2_097_152
#: Kafka's `max.message.bytes` is a 32-bit number.
MOST_ROOM_BYTES = 2_147_483_647
#: More than a dead letter's own headers can take.
HEADERS_BYTES = 16_384
_LIMIT = "max.message.bytes"
_NOT_ALLOWED = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


def check_names(topics: Sequence[str], suffix: str) -> None:
    """Check that every topic's dead-letter topic can have its name.

    Raises:
        ConfigurationError: naming the topic for which it would be too long.
    """
    for topic in topics:
        length = len(topic) + len(suffix)
        if length > MAX_TOPIC_CHARACTERS:
            raise ConfigurationError(
                f"CONSUMER_DEAD_LETTER_SUFFIX: the dead-letter topic {topic}{suffix} would have {length} characters, "
                f"Kafka allows {MAX_TOPIC_CHARACTERS}; expected a shorter suffix or topic name"
            )


def new_topic(name: str, replication_factor: int, source_limit: int | None) -> NewTopic:
    """Describe a dead-letter topic that keeps what it gets and has room for every record of its source.

    `source_limit` is the source's `max.message.bytes`, None where it can't be known.
    """
    # Said for the topic, since a broker's defaults may compact or delete.
    config = {_LIMIT: str(room_for(source_limit)), "retention.ms": "-1", "cleanup.policy": "delete"}
    return NewTopic(name, 1, replication_factor, config=config)


def room_for(source_limit: int | None) -> int:
    """The `max.message.bytes` of a dead-letter topic."""
    return min(max(LEAST_ROOM_BYTES, 2 * (source_limit or 0)), MOST_ROOM_BYTES)


def size_limits(admin: AdminClient, topics: Sequence[str]) -> dict[str, int]:
    """Read the `max.message.bytes` of topics; one whose configuration may not be read is missing from the answer.

    Raises:
        KafkaException: Kafka did not answer, or a topic isn't there (yet).
    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return {}
    found: dict[str, int] = {}
    for resource, future in admin.describe_configs(resources, request_timeout=REQUEST_TIMEOUT_SECONDS).items():
        try:
            found[resource.name] = int(future.result()[_LIMIT].value)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_ALLOWED:
                raise
            log.debug("%s: its configuration can't be read: %s", resource.name, error.args[0].str())
    return found


@dataclass(frozen=True, slots=True)
class Narrow:
    """A dead-letter topic that can't take the largest records of its source; all sizes in bytes."""

    topic: str
    room: int
    source: str
    source_limit: int

    @property
    def told(self) -> str:
        """What is wrong."""
        return f"{self.topic} takes at most {self.room} bytes, {self.source} up to {self.source_limit}"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        wanted = room_for(self.source_limit)
        return f"set max.message.bytes of {self.topic} to {wanted}, for a dead letter is its record plus headers"


def narrow(sources: Mapping[str, int], dead_letter_topics: Mapping[str, int], suffix: str) -> Iterator[Narrow]:
    """Find the dead-letter topics without room, by the `max.message.bytes` of all topics as far as they are known."""
    for topic, limit in sources.items():
        room = dead_letter_topics.get(topic + suffix)
        if room is not None and room < min(limit + HEADERS_BYTES, MOST_ROOM_BYTES):
            yield Narrow(topic + suffix, room, topic, limit)


def warn_of_narrow(sources: Mapping[str, int], dead_letter_topics: Mapping[str, int], suffix: str) -> None:
    """Tell at the start which dead-letter topics can't take the largest records of their source."""
    for found in narrow(sources, dead_letter_topics, suffix):
        log.warning("%s: %s", found.told, found.remedy)
