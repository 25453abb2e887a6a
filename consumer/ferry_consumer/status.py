"""The status of each partition, for beat's status line, `ferry status` and the gauges: no Kafka needed to read it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import status_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_consumer.partition import Partition

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


def publish(client: redis.Redis, prefix: str, group: str, statuses: Sequence[PartitionStatus]) -> None:
    """Write the status where others read it.

    Raises:
        RedisUnavailable: nobody sees it this time.
    """
    if not statuses:
        return
    key = status_key(prefix, group)
    with translated():
        pipeline = client.pipeline(transaction=False)
        for status in statuses:
            pipeline.hset(key, f"{status.topic}:{status.partition}", orjson.dumps(asdict(status)).decode())
        pipeline.expire(key, EXPIRES_AFTER_SECONDS)
        pipeline.execute()
