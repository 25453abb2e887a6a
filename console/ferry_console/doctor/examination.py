"""Look at everything, one part after the other; what is away is a line, and the rest is looked at all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.doctor import redis_side, settings_side, versions
from ferry_console.doctor.clocks import redis_clock
from ferry_console.doctor.consumer_judging import cluster_findings, consumer_findings, worker_findings
from ferry_console.doctor.finding import Area, error, not_asked, ok, warning
from ferry_console.doctor.kafka_examination import kafka_findings, record_clocks
from ferry_console.doctor.redis_judging import AWAY_REMEDY, redis_findings
from ferry_console.doctor.worker_side import start_findings
from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.settings import REDIS_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_examination import KafkaAnswers
    from ferry_console.doctor.redis_facts import RedisFacts
    from ferry_console.doctor.settings_side import SettingsLook
    from ferry_shared.settings import ConsumerSettings


def examine_all() -> Iterator[Finding]:
    """Every finding, part by part; each part ends by itself."""
    look = settings_side.look()
    yield from look.findings
    librdkafka, unusable = _kafka_client()
    yield from versions.version_findings(versions.versions_installed(), versions.versions_wanted(), librdkafka)
    yield from unusable
    redis_facts, found = _redis(look)
    yield from found
    kafka_facts, found = kafka_findings(look) if not unusable else (None, [])
    yield from found
    if redis_facts is not None:
        yield redis_clock(redis_facts.ahead_seconds, redis_facts.round_trip_seconds)
    if kafka_facts is not None:
        yield from record_clocks(kafka_facts)
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
        return None, [not_asked(Area.REDIS, "Redis")]
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


def _at_work(look: SettingsLook, redis: RedisFacts | None, kafka: KafkaAnswers | None) -> Iterator[Finding]:
    if redis is not None:
        topics: Sequence[str] = [route.topic for route in look.routes or ()]
        yield from consumer_findings(redis.group, kafka.group if kafka else None, topics)
        if kafka is not None:
            yield from cluster_findings(redis.clusters, kafka.cluster.cluster_id)
        yield from worker_findings(redis.listeners, redis.queued, redis.listening)
    if look.worker is None or look.routes is None:
        yield warning(Area.WORKERS, "the tasks are not looked at: settings are wrong", "correct them and ask again")
    else:
        yield from start_findings()
