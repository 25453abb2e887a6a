"""Tell a partition that was added to a topic which the group reads from those of a topic that is new to the group.

The first starts at its beginning whatever CONSUMER_OFFSET_RESET says, the others where that says. Commits alone don't
tell: at a group's first start its partitions are taken up one after the other, by several consumers. So each ledger
keeps how many partitions the topic had when the group first took it up; Kafka numbers those that are added after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.consumer_ledger import first_partition_counts
from ferry_shared.ledger.keys import LedgerKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_consumer.intake import Intake
    from ferry_consumer.topics import Topics
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings


def was_added(partition: int, first_counts: Sequence[int]) -> bool:
    """Judge by the counts that the topic's committed partitions keep; one that isn't known (0) is on the safe side."""
    return any(count <= partition for count in first_counts)


class AddedPartitions:
    """Asks Kafka which partitions the group has committed, and their ledgers for the count."""

    def __init__(self, settings: ConsumerSettings, client: redis.Redis, intake: Intake, topics: Topics) -> None:
        self._prefix, self._group = settings.ferry_key_prefix, settings.consumer_group
        self._client = client
        self._intake = intake
        self._topics = topics

    def count(self, place: TopicPartition) -> int:
        """How many partitions the topic has now.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        return self._topics.partition_count(place.topic)

    def contains(self, place: TopicPartition) -> bool:
        """Tell whether this partition, which has neither commit nor ledger, was added.

        Raises:
            KafkaUnavailable, RedisUnavailable: that can't be told now.
        """
        others = [place._replace(partition=number) for number in range(self.count(place)) if number != place.partition]
        if not others:
            return False
        commits = self._intake.committed(others)
        for commit in commits.values():
            if isinstance(commit, KafkaUnavailable):
                raise commit
        committed = [other for other, commit in commits.items() if commit is not None]
        ledgers = [LedgerKeys.of(self._prefix, self._group, other) for other in committed]
        return was_added(place.partition, first_partition_counts(self._client, ledgers))
