"""Judge the routes' topics and their dead-letter topics: are they there, whole, and do they keep what Ferry needs?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_console.doctor.kafka_facts import Absence, Unknown
from ferry_console.doctor.replicas import replica_findings
from ferry_console.doctor.topic_config import UNLIMITED, TopicConfig, retention_text
from ferry_console.moments import age_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import TopicFacts


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the settings make of topics: the largest value that is parsed (bytes), and how long a message may be in
    flight at most, in seconds: all the starts of its task at full length."""

    brokers: int
    max_record_bytes: int
    longest_in_flight_seconds: float


def topic_findings(found: TopicFacts | Unknown, expected: Expectations) -> Iterator[Finding]:
    """Judge a route's topic."""
    if isinstance(found, Unknown):
        yield absent(found)
        return
    config = None if found.config is None else TopicConfig.of(found.config)
    yield ok(Area.TOPICS, topic_line(found, config))
    yield from replica_findings(found, config, expected.brokers)
    if config is None:
        yield _unread(found.name)
        return
    kept = config.keeps_for_seconds
    if kept is not None and kept < expected.longest_in_flight_seconds:
        yield warning(
            Area.TOPICS,
            f"{found.name} keeps records for {age_text(kept)} only, and a task that is started again until "
            f"WORKER_MAX_CLAIMS takes up to {age_text(expected.longest_in_flight_seconds)}: what vanishes from Redis "
            "then can't be read again",
            f"raise retention.ms of {found.name}",
        )
    if config.compacts:
        yield warning(
            Area.TOPICS,
            f"{found.name} is compacted: an older record of a key can be gone before it has become a task",
            "leave it if only the last one of each key matters; else set cleanup.policy to delete",
        )
    if (limit := config.max_message_bytes) is not None and limit > expected.max_record_bytes:
        yield warning(
            Area.TOPICS,
            f"{found.name} takes records up to {limit:,} bytes, the consumer parses up to "
            f"{expected.max_record_bytes:,}: larger ones become dead letters",
            f"set CONSUMER_MAX_RECORD_BYTES to {limit}, or leave it if such records are not wanted",
        )


def dead_letter_findings(found: TopicFacts | Unknown, source: TopicFacts | Unknown | None) -> Iterator[Finding]:
    """Judge the dead-letter topic of `source`: it must take every record of it, with headers, and keep it."""
    if isinstance(found, Unknown):
        yield absent(found)
        return
    config = None if found.config is None else TopicConfig.of(found.config)
    yield ok(Area.TOPICS, topic_line(found, config))
    yield from replica_findings(found, config, brokers=1)
    if found.config is None or config is None:
        yield _unread(found.name)
        return
    if config.compacts:
        yield error(
            Area.TOPICS,
            f"{found.name} is compacted: Kafka refuses dead letters without a key, and drops others",
            f"set cleanup.policy of {found.name} to delete",
        )
    if config.deletes and not UNLIMITED == config.retention_ms == config.retention_bytes:
        yield warning(
            Area.TOPICS,
            f"{found.name} {retention_text(config)}: older dead letters are gone",
            f"set retention.ms and retention.bytes of {found.name} to -1 if they are to be kept",
        )
    if isinstance(source, Unknown) or source is None or source.config is None:
        return
    yield from room(source.name, source.config, found.name, found.config)


def room(source: str, source_config: Mapping[str, str], topic: str, config: Mapping[str, str]) -> Iterator[Finding]:
    """Judge by the consumer's own rule whether the largest record of a source fits into its dead-letter topic."""
    from ferry_consumer.dead_letter_topics import narrow  # noqa: PLC0415 - other services are imported when needed

    limit, space = TopicConfig.of(source_config).max_message_bytes, TopicConfig.of(config).max_message_bytes
    if limit is None or space is None:
        return
    for found in narrow({source: limit}, {topic: space}, topic.removeprefix(source)):
        yield error(Area.TOPICS, found.told, found.remedy)


def absent(found: Unknown) -> Finding:
    """Judge a topic that Kafka doesn't tell of."""
    if found.absence is Absence.MISSING:
        return warning(
            Area.TOPICS,
            f"{found.name} doesn't exist yet: the consumer creates it at its start, if it may",
            "ferry topics create",
        )
    if found.absence is Absence.DENIED:
        return error(
            Area.RIGHTS, f"{found.name}: {found.told}", f"have this user granted Describe on the topic {found.name}"
        )
    return error(Area.TOPICS, f"{found.name} can't be described: {found.told}", "try again; the brokers' logs say why")


def topic_line(found: TopicFacts, config: TopicConfig | None) -> str:
    """A topic in a line: how large, how often kept, for how long, up to which size."""
    number = len(found.partitions)
    replicas = sorted({partition.replicas for partition in found.partitions})
    parts = [
        f"{number:,} partition{'' if number == 1 else 's'}",
        f"{' to '.join(dict.fromkeys(map(str, (replicas[0], replicas[-1]))))} replica{'' if replicas == [1] else 's'}"
        if replicas
        else "no replicas",
    ]
    if config is not None:
        parts.append(retention_text(config))
        parts += [f"each up to {config.max_message_bytes:,} bytes"] if config.max_message_bytes is not None else []
    return f"{found.name}: {', '.join(parts)}"


def _unread(name: str) -> Finding:
    return warning(
        Area.RIGHTS,
        f"the configuration of {name} may not be read: its retention and its room are not known",
        f"have this user granted DescribeConfigs on the topic {name}",
    )
