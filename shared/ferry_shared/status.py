"""The consumers' status in Redis: what each partition's owner wrote last, and the sums of it.

A hash per consumer group (`keys.status_key`), one field per partition (`topic:partition`), so that beat's status line
needs no Kafka. An entry that is older than two minutes counts as silent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import status_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import redis

SILENT_AFTER_MS = 120_000
#: Stands for a log end that Kafka didn't tell.
UNKNOWN_OFFSET = -1


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition as its consumer saw it at `at_ms`, the Redis server's time.

    `log_end`, `committed` and `position` are offsets (the next one to come), negative where unknown.
    `oldest_ms` is when the oldest message in flight was dispatched, 0 when nothing is in flight. `dead_letters`,
    `restored` (copies that the transport handed back) and `rewound` (offsets dispatched again after an operator's
    rewind or a loss in Redis) are the ledger's counts: they go with the partition from consumer to consumer.
    `paused` is None, "limit", "memory", "operator" or "dead-letter limit". `queue` is the one that its tasks go to,
    empty where an older consumer wrote.
    """

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
    restored: int
    rewound: int
    paused: str | None
    queue: str = ""

    @property
    def field(self) -> str:
        """Its field in the hash."""
        return f"{self.topic}:{self.partition}"

    def to_json(self) -> bytes:
        """What the consumer writes."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: bytes) -> Self:
        """Read what a consumer wrote. Raises ValueError when it is something else."""
        fields: Any = orjson.loads(text)
        try:
            return cls(**({"queue": ""} | {name: fields[name] for name in cls.__slots__ if name in fields}))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no status of a partition: {error!r}") from error

    @property
    def lag(self) -> int:
        """Messages that Kafka holds and that are not committed: an upper bound of the work left."""
        return max(0, max(self.log_end, self.position) - max(0, self.committed))

    @property
    def backlog(self) -> int:
        """Messages not yet done: those not yet dispatched and those in flight. Autoscale on this one."""
        return max(0, self.log_end - max(0, self.position)) + self.in_flight


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over a group's partitions; `silent` ones have had no news for two minutes and count with their last.

    `paused` has how many are paused for which reason.
    """

    partitions: int
    silent: int
    paused: tuple[tuple[str, int], ...]
    lag: int
    backlog: int
    in_flight: int
    oldest_seconds: float
    dead_letters: int


def summed(partitions: Sequence[PartitionStatus], now_ms: int) -> Totals:
    """Add up a group's partitions as of `now_ms`."""
    dispatched = [partition.oldest_ms for partition in partitions if partition.oldest_ms > 0]
    return Totals(
        partitions=len(partitions),
        silent=sum(now_ms - partition.at_ms > SILENT_AFTER_MS for partition in partitions),
        paused=tuple(sorted(Counter(filter(None, (partition.paused for partition in partitions))).items())),
        lag=sum(partition.lag for partition in partitions),
        backlog=sum(partition.backlog for partition in partitions),
        in_flight=sum(partition.in_flight for partition in partitions),
        oldest_seconds=max(0, now_ms - min(dispatched)) / 1000 if dispatched else 0.0,
        dead_letters=sum(partition.dead_letters for partition in partitions),
    )


def status_line(group: str, totals: Totals) -> str:
    """One line for people: everything that says whether the group keeps up."""
    if totals.partitions == totals.silent:
        return f"group {group}: consumer silent, no news of any partition for two minutes or more"
    exceptions = [f"{totals.silent} silent"] if totals.silent else []
    exceptions += [f"{count} paused: {cause}" for cause, count in totals.paused]
    partitions = f"{totals.partitions} partition{'' if totals.partitions == 1 else 's'}" + (
        f" ({', '.join(exceptions)})" if exceptions else ""
    )
    return (
        f"group {group}: {partitions}, lag {totals.lag}, backlog {totals.backlog}, in flight {totals.in_flight}, "
        f"oldest {totals.oldest_seconds:.1f} s, dead letters {totals.dead_letters}"
    )


def read_status(client: redis.Redis, key_prefix: str, group: str) -> tuple[PartitionStatus, ...]:
    """Read a group's partitions, in order; a field that this version cannot read is left out.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    with translated():
        fields: Any = client.hgetall(status_key(key_prefix, group))
    return tuple(sorted(_readable(fields.values()), key=lambda status: (status.topic, status.partition)))


def _readable(texts: Iterable[bytes]) -> Iterable[PartitionStatus]:
    for text in texts:
        try:
            yield PartitionStatus.of_json(text)
        except ValueError:
            continue
