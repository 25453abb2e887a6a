"""Look at everything, one part after the other; what is away is a line, and the rest is looked at all the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.doctor import redis_side, settings_side, versions
from ferry_console.doctor.clocks import record_clock, redis_clock
from ferry_console.doctor.consumer_judging import cluster_findings, consumer_findings, worker_findings
from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_console.doctor.kafka_facts import TopicFacts, Unknown
from ferry_console.doctor.redis_judging import AWAY_REMEDY, redis_findings
from ferry_console.doctor.rights import right_findings
from ferry_console.doctor.topic_judging import Expectations, dead_letter_findings, topic_findings
from ferry_console.doctor.worker_side import start_findings
from ferry_shared.errors import ConfigurationError, KafkaUnavailable, RedisUnavailable
from ferry_shared.settings import REDIS_SCHEMES, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import ClusterFacts, GroupFacts
    from ferry_console.doctor.kafka_side import KafkaSide
    from ferry_console.doctor.redis_facts import RedisFacts
    from ferry_console.doctor.settings_side import SettingsLook
    from ferry_shared.settings import ConsumerSettings


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What Kafka told: `sources` and `dead_letter_topics` in the order of the routes."""

    cluster: ClusterFacts
    sources: tuple[TopicFacts | Unknown, ...]
    dead_letter_topics: tuple[TopicFacts | Unknown, ...]
    group: GroupFacts | Unknown


def examine_all() -> Iterator[Finding]:
    """Every finding, part by part; each part ends by itself."""
    look = settings_side.look()
    yield from look.findings
    librdkafka, unusable = _kafka_client()
    yield from versions.version_findings(versions.versions_installed(), versions.versions_wanted(), librdkafka)
    yield from unusable
    redis_facts, found = _redis(look)
    yield from found
    kafka_facts, found = _kafka(look) if not unusable else (None, [])
    yield from found
    if redis_facts is not None:
        yield redis_clock(redis_facts.ahead_seconds, redis_facts.round_trip_seconds)
    if kafka_facts is not None:
        yield from _record_clocks(kafka_facts)
    yield from _at_work(look, redis_facts, kafka_facts)


def _kafka_client() -> tuple[str | None, list[Finding]]:
    """The version of librdkafka; or that its client can't be loaded, which refuses a librdkafka that is too old."""
    try:
        from ferry_console.doctor.kafka_side import librdkafka_version  # noqa: PLC0415 - what can't be imported is a finding
    except ImportError as problem:
        remedy = "pip install 'ferry-kafka[console]'; its wheel brings librdkafka along"
        return None, [error(Area.CLIENTS, f"confluent-kafka can't be imported: {problem}", remedy)]
    return librdkafka_version(), []


def _redis(look: SettingsLook) -> tuple[RedisFacts | None, list[Finding]]:
    settings = look.consumer
    if settings is None or not look.knows_redis:
        return None, [_not_asked(Area.REDIS, "Redis")]
    queues = dict.fromkeys(route.queue for route in look.routes or ())
    try:
        facts = redis_side.read_redis(settings, queues)
    except RedisUnavailable as problem:
        return None, [error(Area.REDIS, str(problem), AWAY_REMEDY)]
    except ConfigurationError as problem:
        return None, [error(Area.REDIS, str(problem), "see docs/pause_and_resume.md")]
    return facts, [*redis_findings(facts, settings.consumer_redis_memory_limit_ratio), *_results(settings)]


def _results(settings: ConsumerSettings) -> Iterator[Finding]:
    """The result backend, where it is another Redis."""
    url = settings.celery_result_backend.get_secret_value()
    if url.partition("://")[0] in REDIS_SCHEMES and url != settings.ledger_url:
        problem = redis_side.answers(url)
        if problem is None:
            yield ok(Area.REDIS, "the Redis of CELERY_RESULT_BACKEND answers")
        else:
            yield error(Area.REDIS, f"CELERY_RESULT_BACKEND: {problem}", "start it, or correct CELERY_RESULT_BACKEND")


def _kafka(look: SettingsLook) -> tuple[KafkaFacts | None, list[Finding]]:
    if look.consumer is None or not look.knows_kafka:
        return None, [_not_asked(Area.KAFKA, "Kafka")]
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
    return facts, list(_kafka_findings(facts, look, look.consumer))


def _asked(side: KafkaSide, cluster: ClusterFacts, look: SettingsLook, settings: ConsumerSettings) -> KafkaFacts:
    names = [route.topic for route in look.routes or ()]
    letters = [name + settings.consumer_dead_letter_suffix for name in names]
    found = side.topics(list(dict.fromkeys([*names, *letters])))
    return KafkaFacts(
        cluster,
        tuple(found[name] for name in names),
        tuple(found[name] for name in letters),
        side.group(settings.consumer_group),
    )


def _kafka_findings(facts: KafkaFacts, look: SettingsLook, settings: ConsumerSettings) -> Iterator[Finding]:
    cluster = facts.cluster
    yield ok(
        Area.KAFKA,
        f"Kafka at {cluster.servers} answers: cluster {cluster.cluster_id}, {cluster.brokers} "
        f"broker{'' if cluster.brokers == 1 else 's'}",
    )
    worker = look.worker or WorkerSettings.model_construct()
    longest = worker.visibility_timeout_seconds * worker.worker_max_claims
    expected = Expectations(cluster.brokers, settings.consumer_max_record_bytes, longest)
    for source, letters in zip(facts.sources, facts.dead_letter_topics, strict=True):
        yield from topic_findings(source, expected)
        yield from dead_letter_findings(letters, source)
    yield from right_findings(cluster, facts.sources, facts.dead_letter_topics, facts.group)


def _record_clocks(facts: KafkaFacts) -> Iterator[Finding]:
    host_ms = int(time.time() * 1000)
    for topic in facts.sources:
        if isinstance(topic, TopicFacts):
            yield from record_clock(topic.name, topic.newest_ms, host_ms)


def _at_work(look: SettingsLook, redis: RedisFacts | None, kafka: KafkaFacts | None) -> Iterator[Finding]:
    if redis is not None:
        topics: Sequence[str] = [route.topic for route in look.routes or ()]
        yield from consumer_findings(redis.group, kafka.group if kafka else None, topics)
        if kafka is not None:
            yield from cluster_findings(redis.clusters, kafka.cluster.cluster_id)
        yield from worker_findings(redis.listeners, redis.queued)
    if look.worker is None or look.routes is None:
        yield warning(Area.WORKERS, "the tasks are not looked at: settings are wrong", "correct them and ask again")
    else:
        yield from start_findings()


def _not_asked(area: Area, server: str) -> Finding:
    return warning(area, f"{server} is not asked: the settings that lead to it are wrong", "correct them and ask again")
