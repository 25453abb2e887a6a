"""Notice that a topic was deleted and created again while its partitions are assigned.

librdkafka goes on at the old position as soon as the new topic is that long, and says nothing: what lies below would
be lost. Kafka gives each topic an id of its own, so that is asked for now and then; the ledger keeps the one it is for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ferry_consumer.topics import Identity
from ferry_shared.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ferry_consumer.partition import Partition
    from ferry_consumer.topics import Topics

log = logging.getLogger("ferry.consumer")


class RecreatedTopics:
    """Compares the topic ids of ledgers with Kafka's."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def look(self, partitions: Iterable[Partition]) -> None:
        """Let go of the ledgers of topics that are gone: recovery decides where the new ones start.

        What comes into a new topic above the old position before this has looked can run twice.
        """
        owned = [(partition, partition.tenure) for partition in partitions if partition.tenure]
        identities = self._identities({partition.topic_partition.topic for partition, _ in owned})
        for partition, tenure in owned:
            identity = identities.get(partition.topic_partition.topic)
            if not isinstance(identity, Identity):
                log.debug("%s: the topic's id can't be told now: %s", partition.topic_partition, identity)
            elif identity.topic_id and tenure.topic_id and identity.topic_id != tenure.topic_id:
                log.warning("%s: the topic was created anew, acquiring it again", partition.topic_partition)
                partition.lose()

    def _identities(self, topics: Collection[str]) -> Mapping[str, Identity | KafkaUnavailable]:
        """Empty while Kafka is away."""
        try:
            return self._topics.identities(topics)
        except KafkaUnavailable as error:
            log.debug("no topic's id can be told now: %s", error)
            return {}
