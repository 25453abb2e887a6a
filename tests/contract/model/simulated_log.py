"""A Kafka cluster's memory: one topic with its partitions, the dead letters, and what each group has committed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import orjson

from ferry_shared.record import TopicPartition

CLUSTER_ID = "cluster"
TOPIC = "orders"
DEAD_LETTER_TOPIC = "orders.dlq"


class Kind(StrEnum):
    """What a record is, or what becomes of its task."""

    OK = "ok"
    FAILS = "fails"
    RETRIES = "retries"
    CRASHES = "crashes"
    LONG = "takes more than half of the soft time limit"
    INVALID = "invalid"


#: Why the records of a kind become dead letters where nothing else has happened to them.
OWN_REASONS = {Kind.FAILS: "ValueError", Kind.INVALID: "not-json"}


@dataclass(frozen=True)
class Stored:
    """A record. `serial` tells it from every other one, also from one that had its offset before."""

    serial: int
    kind: Kind
    topic_id: str
    partition: int
    offset: int

    @property
    def place(self) -> TopicPartition:
        """Where it lies."""
        return TopicPartition(TOPIC, self.partition)

    @property
    def value(self) -> bytes:
        """What was produced."""
        return b"%d is no JSON" % self.serial if self.kind is Kind.INVALID else b'{"serial": %d}' % self.serial


@dataclass
class Log:
    """A partition: offsets that hold no record are transaction markers, or were compacted."""

    start: int = 0
    end: int = 0
    was_truncated: bool = False
    records: dict[int, Stored] = field(default_factory=dict)

    def delete_before(self, offset: int) -> list[Stored]:
        """Retention."""
        self.start = max(self.start, min(offset, self.end))
        return self._forget([number for number in self.records if number < self.start])

    def truncate(self, end: int) -> list[Stored]:
        """A leader without the last records takes over."""
        self.end = max(self.start, min(end, self.end))
        self.was_truncated = True
        return self._forget([number for number in self.records if number >= self.end])

    def _forget(self, offsets: list[int]) -> list[Stored]:
        return [self.records.pop(offset) for offset in sorted(offsets)]


class SimulatedLogs:
    """The topic. Every record ever produced stays in `produced`, for the oracle."""

    def __init__(self, partitions: int) -> None:
        self.topic_id = "topic-1"
        self.partitions = [Log() for _ in range(partitions)]
        self.produced: dict[int, Stored] = {}

    def log(self, place: TopicPartition) -> Log:
        """The partition's log."""
        return self.partitions[place.partition]

    @property
    def places(self) -> list[TopicPartition]:
        """All partitions."""
        return [TopicPartition(TOPIC, number) for number in range(len(self.partitions))]

    def produce(self, partition: int, kind: Kind, gap: int) -> Stored:
        """Append a record behind `gap` offsets without one."""
        log = self.partitions[partition]
        offset = log.end + gap
        stored = Stored(len(self.produced), kind, self.topic_id, partition, offset)
        self.produced[stored.serial] = log.records[offset] = stored
        log.end = offset + 1
        return stored

    def recreate(self) -> None:
        """Delete the topic and create it again: same name, another id."""
        self.topic_id = f"topic-{int(self.topic_id.partition('-')[2]) + 1}"
        self.partitions = [Log() for _ in self.partitions]

    def add_partition(self) -> None:
        """One more."""
        self.partitions.append(Log())

    def holds(self, stored: Stored) -> bool:
        """Whether Kafka still has it."""
        return (
            stored.topic_id == self.topic_id and self.partitions[stored.partition].records.get(stored.offset) is stored
        )

    def origin(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> tuple[str, Stored]:
        """The group, and the record, of a dead letter."""
        group = (headers["__dlq.errors.group"] or b"").decode()
        if value:
            digits = value.split()[0] if value[:1].isdigit() else str(orjson.loads(value)["serial"]).encode()
            return group, self.produced[int(digits)]
        place = [int(headers[f"x-original-{name}"] or 0) for name in ("partition", "offset")]
        found = [stored for stored in self.produced.values() if [stored.partition, stored.offset] == place]
        return group, found[-1]

    def every_record(self, place: TopicPartition, *, any_topic: bool = False) -> list[Stored]:
        """All that were ever produced there, to this topic or also to those that it has replaced."""
        return [
            stored
            for stored in self.produced.values()
            if stored.place == place and (any_topic or stored.topic_id == self.topic_id)
        ]
