"""Judge the leaders and replicas of a topic's partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import TopicFacts
    from ferry_console.doctor.topic_config import TopicConfig

#: More partitions are counted, not listed.
MOST_NUMBERED = 3


def replica_findings(found: TopicFacts, config: TopicConfig | None, brokers: int) -> Iterator[Finding]:
    """Judge leaders and replicas; how many `brokers` there are says whether more replicas could be had."""
    name, needed = found.name, (config.min_in_sync if config else None) or 1
    leaderless = [one.number for one in found.partitions if not one.has_leader]
    refused = [one.number for one in found.partitions if one.has_leader and one.in_sync < needed]
    behind = [one.number for one in found.partitions if one.has_leader and needed <= one.in_sync < one.replicas]
    if leaderless:
        yield error(
            Area.TOPICS,
            f"{name} has no leader for {_numbered(leaderless)}: nothing is read from there",
            "bring the brokers back that hold it",
        )
    if refused:
        yield error(
            Area.TOPICS,
            f"{name} has less than min.insync.replicas ({needed}) in sync for {_numbered(refused)}: Kafka refuses "
            "what is sent with acks=all",
            "bring the missing brokers back",
        )
    if behind:
        yield warning(
            Area.TOPICS,
            f"{name} has replicas that are behind, of {_numbered(behind)}",
            "bring the missing brokers back, or wait until they have caught up",
        )
    single = [one.number for one in found.partitions if one.replicas == 1]
    if single and brokers > 1:
        yield warning(
            Area.TOPICS,
            f"{name} has one replica of {_numbered(single)} on {brokers} brokers: with that broker its messages are "
            "lost",
            "raise its replication factor by kafka-reassign-partitions",
        )


def _numbered(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_NUMBERED]))
    more = f" and {len(numbers) - MOST_NUMBERED:,} more" if len(numbers) > MOST_NUMBERED else ""
    return f"partition{'' if len(numbers) == 1 else 's'} {shown}{more}"
