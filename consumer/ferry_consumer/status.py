"""The status of each partition, for beat's status line and the gauges: no Kafka needed to read it."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import server_time_ms, translated
from ferry_shared.ledger.group_view import view_ledgers
from ferry_shared.ledger.keys import status_key
from ferry_shared.status import UNKNOWN_OFFSET, PartitionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from ferry_consumer.health import Health
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition
    from ferry_consumer.topics import Topics
    from ferry_shared.ledger.untracked import Untracked
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

#: Longer than a reader's patience: until then it tells which partitions are silent, afterwards that all are.
EXPIRES_AFTER_SECONDS = 600
#: While Kafka is away the status must not keep the loop from retries and dead letters.
PATIENCE_SECONDS = 1.0


def status_of(partition: Partition, log_end: int | None, consumer: str, at_ms: int) -> PartitionStatus:
    """What is known of a partition at `at_ms`; a log end of None is one that Kafka didn't tell."""
    return PartitionStatus(
        at_ms,
        *partition.topic_partition,
        consumer,
        UNKNOWN_OFFSET if log_end is None else max(log_end, partition.expected),
        partition.committed,
        partition.expected,
        partition.in_flight,
        partition.oldest_ms,
        partition.dead_letters,
        partition.restored,
        partition.rewound,
        partition.paused,
        partition.place.route.queue,
    )


class StatusWriter:
    """Finds out how far each partition is, and tells it: to Redis, to the gauges, to `/readyz`."""

    def __init__(
        self, settings: ConsumerSettings, client: redis.Redis, topics: Topics, metrics: Metrics, health: Health
    ) -> None:
        self._key_prefix, self._group = settings.ferry_key_prefix, settings.consumer_group
        self._key = status_key(settings.ferry_key_prefix, settings.consumer_group)
        self._consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._client = client
        self._topics = topics
        self._metrics = metrics
        self._health = health

    def write(self, partitions: Mapping[TopicPartition, Partition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """Write the status of these partitions; when a server is away `/readyz` says which, and the work goes on.

        Returns what Kafka holds of them: the first offset, and the one after the last.
        """
        ranges = self._log_ranges(partitions)
        now_ms = self._server_now_ms()
        at_ms = int(time.time() * 1000) if now_ms is None else now_ms
        statuses = [
            status_of(partition, ranges[place][1] if ranges and place in ranges else None, self._consumer, at_ms)
            for place, partition in partitions.items()
        ]
        self._metrics.show(statuses, self._untracked(list(partitions)))
        self._health.kafka = ranges is not None
        self._health.redis = now_ms is not None and self._publish(statuses)
        self._metrics.up.labels("kafka").set(self._health.kafka)
        self._metrics.up.labels("redis").set(self._health.redis)
        return ranges or {}

    def _log_ranges(
        self, partitions: Mapping[TopicPartition, Partition]
    ) -> Mapping[TopicPartition, tuple[int, int]] | None:
        try:
            if not partitions:
                self._topics.ping()
            return self._topics.log_ranges(list(partitions), PATIENCE_SECONDS)
        except KafkaUnavailable as error:
            log.debug("no log ranges this time: %s", error)
            return None

    def _server_now_ms(self) -> int | None:
        """Redis' time: readers compare it with Redis' time again, whatever the hosts' clocks say."""
        try:
            return server_time_ms(self._client)
        except RedisUnavailable as error:
            log.debug("no status this time: %s", error)
            return None

    def _untracked(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, Sequence[Untracked]] | None:
        try:
            views = view_ledgers(self._client, self._key_prefix, self._group, places)
        except RedisUnavailable as error:
            log.debug("no status this time: %s", error)
            return None
        return {place: view.untracked for place, view in zip(places, views, strict=True)}

    def _publish(self, statuses: Sequence[PartitionStatus]) -> bool:
        try:
            with translated():
                pipeline = self._client.pipeline(transaction=False)
                for status in statuses:
                    pipeline.hset(self._key, status.field, status.to_json().decode())
                pipeline.expire(self._key, EXPIRES_AFTER_SECONDS)
                pipeline.execute()
        except RedisUnavailable as error:
            log.debug("no status this time: %s", error)
            return False
        return True
