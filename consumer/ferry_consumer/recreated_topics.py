"""Notice that a topic was deleted and created again while its partitions are assigned.

librdkafka goes on at the old position as soon as the new topic is that long, and says nothing: what lies below would
be lost. Kafka gives each topic an id of its own, so that is asked for now and then; the ledger keeps the one it is for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ferry_shared.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        ids = {topic: self._topic_id(topic) for topic in {partition.topic_partition.topic for partition, _ in owned}}
        for partition, tenure in owned:
            topic_id = ids[partition.topic_partition.topic]
            if topic_id and tenure.topic_id and topic_id != tenure.topic_id:
                log.warning("%s: the topic was created anew, acquiring it again", partition.topic_partition)
                partition.lose()

    def _topic_id(self, topic: str) -> str:
        """Empty where it can't be told now: Kafka is away, or the topic is."""
        try:
            return self._topics.identity(topic).topic_id
        except KafkaUnavailable as error:
            log.debug("the id of %s can't be told now: %s", topic, error)
            return ""
