"""Ferry, as it runs in production, and how far it is, seen from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.failures import MeasurementFailed
from bench.processes import python, running
from bench.work import PARTITIONS
from ferry_console.local.ports import free_port
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from ferry_shared.settings import ConsumerSettings, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

BATCH = {"CONSUMER_BATCH_SIZE": "100"}


def own_route(topic: str, task: str) -> dict[str, str]:
    """Settings: messages of three fields, checked by a model, become `task` of `bench.own.tasks`."""
    return {
        "BENCH_TOPIC": topic,
        "BENCH_TASK": task,
        "FERRY_ROUTES": "bench.own.routes:routes",
        "FERRY_IMPORTS": "bench.own.tasks",
    }


def without_limits(messages: int) -> dict[str, str]:
    """Settings: the whole backlog may be in flight, for a measurement without a worker."""
    return {
        "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": str(messages + 1),
        "CONSUMER_MAX_SPAN_PER_PARTITION": str(messages + 1),
    }


def settings(servers: Servers, group: str, more: Mapping[str, str], *, database: int = 0) -> dict[str, str]:
    """The settings of consumer and worker: where the servers are and a free HTTP port; all else is Ferry's default.

    Raises:
        MeasurementFailed: this Ferry doesn't know one of them; it would ignore it, and something else be measured.
    """
    known = {name.upper() for section in (ConsumerSettings, WorkerSettings) for name in section.model_fields}
    unknown = [name for name in more if not name.startswith("BENCH_") and name not in known]
    if unknown:
        raise MeasurementFailed(f"this Ferry has no setting {', '.join(unknown)}")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka.bootstrap_servers,
        "CELERY_BROKER_URL": servers.valkey.database_url(database),
        "CONSUMER_GROUP": group,
        "CONSUMER_HTTP_PORT": str(free_port()),
        **more,
    }


def consumer(servers: Servers, of: Mapping[str, str]) -> AbstractContextManager[ServiceProcess]:
    """`ferry-consumer run`."""
    return running(servers, "ferry-consumer", python("-m", "ferry_consumer", "run"), of)


def worker(servers: Servers, of: Mapping[str, str], processes: int) -> AbstractContextManager[ServiceProcess]:
    """Ferry's worker with so many processes."""
    command = python("-m", "celery", "-A", "ferry_worker", "worker", f"--concurrency={processes}", "--loglevel=INFO")
    return running(servers, "ferry-worker", command, of)


def heads(group: str, topic: str) -> list[str]:
    """The keys of the ledgers' heads of a topic."""
    return [LedgerKeys.of("", group, TopicPartition(topic, number)).head for number in range(PARTITIONS)]


def dispatched(servers: Servers, group: str, topic: str) -> Callable[[], int]:
    """How many messages a group has dispatched of a topic that was read from its beginning: its ledgers' positions."""
    keys = heads(group, topic)

    def count() -> int:
        pipeline = servers.client.pipeline(transaction=False)
        for head in keys:
            pipeline.hget(head, "position")
        replies: list[Any] = pipeline.execute()
        return sum(int(reply) for reply in replies if reply)

    return count
