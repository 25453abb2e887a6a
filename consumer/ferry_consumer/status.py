"""The status of each partition, for beat's status line, `ferry status` and the gauges: no Kafka needed to read it."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from ferry_shared.errors import TransientError
from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import status_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from ferry_consumer.health import Health
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition
    from ferry_consumer.topics import Topics
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

#: A reader takes older entries for silence.
EXPIRES_AFTER_SECONDS = 120


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition at one moment; times in milliseconds since 1970, `oldest_ms` 0 when nothing is in flight."""

    at_ms: int
    topic: str
    partition: int
    consumer: str
    log_end: int
    committed: int
    position: int
    in_flight: int
    oldest_ms: int
    dead_letters: int
    paused: str | None

    @property
    def backlog(self) -> int:
        """What is still to be done."""
        return max(0, self.log_end - self.position) + self.in_flight

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest message in flight."""
        return max(0, self.at_ms - self.oldest_ms) / 1000 if self.oldest_ms else 0.0


def status_of(partition: Partition, log_end: int, consumer: str) -> PartitionStatus:
    """What is known of a partition now."""
    return PartitionStatus(
        int(time.time() * 1000),
        *partition.topic_partition,
        consumer,
        max(log_end, partition.expected),
        partition.committed,
        partition.expected,
        partition.in_flight,
        partition.oldest_ms,
        partition.dead_letters,
        "limit" if partition.paused_by_limit else None,
    )


class StatusWriter:
    """Finds out how far each partition is, and tells it: to Redis, to the gauges, to `/readyz`."""

    def __init__(
        self, settings: ConsumerSettings, client: redis.Redis, topics: Topics, metrics: Metrics, health: Health
    ) -> None:
        self._key = status_key(settings.ferry_key_prefix, settings.consumer_group)
        self._consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._client = client
        self._topics = topics
        self._metrics = metrics
        self._health = health

    def write(self, partitions: Mapping[TopicPartition, Partition]) -> None:
        """Write the status of these partitions; when a server is away `/readyz` says which, and the work goes on."""
        reached = set[str]()
        try:
            statuses = self._statuses(partitions)
            reached.add("kafka")
            self._publish(statuses)
            reached.add("redis")
        except TransientError as error:
            log.debug("no status this time: %s", error)
        self._health.kafka, self._health.redis = "kafka" in reached, "redis" in reached
        for server in ("kafka", "redis"):
            self._metrics.up.labels(server).set(server in reached)

    def _statuses(self, partitions: Mapping[TopicPartition, Partition]) -> list[PartitionStatus]:
        ranges = self._topics.log_ranges(list(partitions))
        if not partitions:
            self._topics.ping()
        statuses = [status_of(partition, ranges[place][1], self._consumer) for place, partition in partitions.items()]
        self._metrics.show(statuses)
        return statuses

    def _publish(self, statuses: Sequence[PartitionStatus]) -> None:
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.ping()
            for status in statuses:
                field = f"{status.topic}:{status.partition}"
                pipeline.hset(self._key, field, orjson.dumps(asdict(status)).decode())
            pipeline.expire(self._key, EXPIRES_AFTER_SECONDS)
            pipeline.execute()
