"""What this user may do in Kafka, as far as Kafka tells: without an authorizer everybody may do everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_console.doctor.kafka_facts import Absence, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import ClusterFacts, GroupFacts, TopicFacts

#: Who may do all may do each.
_ALL = "ALL"


def right_findings(
    cluster: ClusterFacts,
    sources: Sequence[TopicFacts | Unknown],
    dead_letter_topics: Sequence[TopicFacts | Unknown],
    group: GroupFacts | Unknown,
) -> Iterator[Finding]:
    """Judge what the consumer needs: to read topics and group, to write dead letters, to create what is missing."""
    found = [
        *(finding for topic in sources for finding in _needs(topic, "READ", "Read")),
        *(finding for topic in dead_letter_topics for finding in _needs(topic, "WRITE", "Write")),
        *_group(group),
        *_creating(cluster, [*sources, *dead_letter_topics]),
    ]
    yield from found
    if not found:
        topics = "the topics and the group, and write dead letters" if sources else "the group"
        yield ok(Area.RIGHTS, f"this user may read {topics}")


def may(operations: frozenset[str] | None, operation: str) -> bool:
    """Whether a right is there; one that Kafka doesn't tell of isn't missed."""
    return operations is None or not operations.isdisjoint({operation, _ALL})


def _needs(topic: TopicFacts | Unknown, operation: str, acl: str) -> Iterator[Finding]:
    if not isinstance(topic, Unknown) and not may(topic.operations, operation):
        yield error(
            Area.RIGHTS,
            f"this user may not {operation.lower()} the topic {topic.name}",
            f"have KAFKA_SASL_USERNAME, or the certificate's name, granted {acl} on the topic {topic.name}",
        )


def _group(group: GroupFacts | Unknown) -> Iterator[Finding]:
    denied = isinstance(group, Unknown) and group.absence is Absence.DENIED
    if denied or (not isinstance(group, Unknown) and not may(group.operations, "READ")):
        yield error(
            Area.RIGHTS,
            f"this user may not read the consumer group {group.name}: it can't join",
            f"have KAFKA_SASL_USERNAME, or the certificate's name, granted Read on the group {group.name}",
        )
    elif isinstance(group, Unknown) and group.absence is Absence.FAILED:
        yield warning(Area.RIGHTS, f"the group {group.name} can't be described: {group.told}", "try again")


def _creating(cluster: ClusterFacts, topics: Sequence[TopicFacts | Unknown]) -> Iterator[Finding]:
    missing = [topic.name for topic in topics if isinstance(topic, Unknown) and topic.absence is Absence.MISSING]
    if missing and not may(cluster.operations, "CREATE"):
        yield warning(
            Area.RIGHTS,
            f"this user may not create just any topic, and {', '.join(missing)} is missing: whether it may create "
            "that one Kafka doesn't tell",
            "ferry topics create --dry-run asks Kafka; or have somebody create it who may",
        )
