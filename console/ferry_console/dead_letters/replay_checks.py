"""Whether a record that is sent again would be run, and would harm nothing else in its topic."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ferry_console.doctor.kafka_facts import Unknown
from ferry_console.doctor.topic_config import TopicConfig
from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from ferry_console.doctor.kafka_side import KafkaSide
    from ferry_shared.record import TaskId


def reasons_against(client: redis.Redis, key_prefix: str, side: KafkaSide) -> Callable[[TaskId], str | None]:
    """Ask Redis once for each partition and Kafka once for each topic; returns the rest of a sentence, or None.

    The function raises RedisUnavailable.
    """

    @cache
    def has_ledger(group: str, place: TopicPartition) -> bool:
        with translated():
            return bool(client.exists(LedgerKeys.of(key_prefix, group, place).head))

    @cache
    def is_compacted(topic: str) -> bool:
        found = side.topics([topic])[topic]
        return not isinstance(found, Unknown) and found.config is not None and TopicConfig.of(found.config).compacts

    def reason_against(task_id: TaskId) -> str | None:
        place = TopicPartition(task_id.topic, task_id.partition)
        if not has_ledger(task_id.group, place):
            return (
                f"failed in the group {task_id.group}, of which no consumer has taken up {place} with this Redis: all "
                "others would pass it over (are CELERY_BROKER_URL, FERRY_KEY_PREFIX and CONSUMER_GROUP the consumer's?)"
            )
        if is_compacted(task_id.topic):
            return f"would take the place of newer records with its key, for {task_id.topic} is compacted"
        return None

    return reason_against
