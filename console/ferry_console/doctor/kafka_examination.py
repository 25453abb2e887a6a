"""Ask Kafka for all at once, and judge what it told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.doctor.clocks import record_clock
from ferry_console.doctor.finding import Area, error, not_asked, ok, warning
from ferry_console.doctor.kafka_facts import TopicFacts, Unknown
from ferry_console.doctor.rights import right_findings
from ferry_console.doctor.topic_judging import Expectations, dead_letter_findings, topic_findings
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import ClusterFacts, GroupFacts
    from ferry_console.doctor.kafka_side import KafkaSide
    from ferry_console.doctor.settings_side import SettingsLook
    from ferry_shared.settings import ConsumerSettings


@dataclass(frozen=True, slots=True)
class KafkaAnswers:
    """What Kafka told: `sources` and `dead_letter_topics` in the order of the routes."""

    cluster: ClusterFacts
    sources: tuple[TopicFacts | Unknown, ...]
    dead_letter_topics: tuple[TopicFacts | Unknown, ...]
    group: GroupFacts | Unknown


def kafka_findings(look: SettingsLook) -> tuple[KafkaAnswers | None, list[Finding]]:
    """Ask Kafka and judge it; without answers the findings say why."""
    if look.consumer is None or not look.knows_kafka:
        return None, [not_asked(Area.KAFKA, "Kafka")]
    from ferry_console.doctor.kafka_side import KafkaSide  # noqa: PLC0415 - imported when needed

    try:
        side = KafkaSide(look.consumer)
    except ConfigurationError as problem:
        return None, [error(Area.KAFKA, str(problem), "correct it; docs/settings.md has every setting")]
    try:
        cluster = side.cluster()
    except KafkaUnavailable as problem:
        return None, [error(Area.KAFKA, str(problem), side.remedy)]
    facts = _asked(side, cluster, look, look.consumer)
    return facts, list(_judged(facts, look, look.consumer))


def _asked(side: KafkaSide, cluster: ClusterFacts, look: SettingsLook, settings: ConsumerSettings) -> KafkaAnswers:
    names = [route.topic for route in look.routes or ()]
    letters = [name + settings.consumer_dead_letter_suffix for name in names]
    found = side.topics(list(dict.fromkeys([*names, *letters])))
    return KafkaAnswers(
        cluster,
        tuple(found[name] for name in names),
        tuple(found[name] for name in letters),
        side.group(settings.consumer_group),
    )


def _judged(facts: KafkaAnswers, look: SettingsLook, settings: ConsumerSettings) -> Iterator[Finding]:
    cluster = facts.cluster
    yield ok(
        Area.KAFKA,
        f"Kafka at {cluster.servers} answers: cluster {cluster.cluster_id}, {cluster.brokers} "
        f"broker{'' if cluster.brokers == 1 else 's'}",
    )
    if look.routes is None:
        yield warning(Area.TOPICS, "no topic is looked at: the routes can't be read", "correct them and ask again")
    worker = look.worker or WorkerSettings.model_construct()
    longest = worker.visibility_timeout_seconds * worker.worker_max_claims
    expected = Expectations(cluster.brokers, settings.consumer_max_record_bytes, longest)
    for source, letters in zip(facts.sources, facts.dead_letter_topics, strict=True):
        yield from topic_findings(source, expected)
        yield from dead_letter_findings(letters, source)
    yield from right_findings(cluster, facts.sources, facts.dead_letter_topics, facts.group)


def record_clocks(facts: KafkaAnswers) -> Iterator[Finding]:
    """Judge the timestamps of the topics' newest records."""
    host_ms = int(time.time() * 1000)
    for topic in facts.sources:
        if isinstance(topic, TopicFacts):
            yield from record_clock(topic.name, topic.newest_ms, host_ms)
