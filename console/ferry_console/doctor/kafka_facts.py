"""What is asked of Kafka, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster: its id, how many brokers it has now, and what this user may do with it (None: not told)."""

    servers: str
    cluster_id: str
    brokers: int
    operations: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition: whether it has a leader, how many replicas it should have, and how many have all of it."""

    number: int
    has_leader: bool
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic.

    `operations` are Kafka's names of what this user may do with it (`READ`, `WRITE`), None where Kafka doesn't tell;
    `config` is None where it may not be read. `newest_ms` is the highest timestamp (ms since 1970) of its records,
    None where there is none or it may not be asked.
    """

    name: str
    partitions: tuple[PartitionFacts, ...]
    operations: frozenset[str] | None
    config: Mapping[str, str] | None
    newest_ms: int | None = None


class Absence(Enum):
    """Why nothing is known of a topic or group."""

    MISSING = "missing"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A topic or group that Kafka doesn't tell of, and in its words why."""

    name: str
    absence: Absence
    told: str


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A consumer group in Kafka: its state in Kafka's words, its members, and what this user may do with it."""

    name: str
    state: str
    members: int
    operations: frozenset[str] | None
