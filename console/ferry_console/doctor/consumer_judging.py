"""Judge who is at work: consumers by what they wrote to Redis and by Kafka's group, workers by their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_console.doctor.kafka_facts import Unknown
from ferry_console.status.warnings import warnings as status_warnings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ferry_console.doctor.finding import Finding
    from ferry_console.doctor.kafka_facts import GroupFacts
    from ferry_console.status.group_status import GroupStatus

#: From this age on a message in flight is told of, as `ferry status` does.
OLD_AFTER_SECONDS = 300.0


def consumer_findings(
    status: GroupStatus, group: GroupFacts | Unknown | None, topics: Collection[str]
) -> Iterator[Finding]:
    """Judge the group's status; `group` is Kafka's view (None: Kafka is away), `topics` are those of the routes."""
    heard = status.consumers
    if heard:
        backlog = sum(view.backlog for view in status.partitions)
        served = len(status.partitions) - len(status.silent)
        yield ok(
            Area.CONSUMERS,
            f"{heard} consumer{'' if heard == 1 else 's'} of the group {status.group} at work on "
            f"{served:,} partition{'' if served == 1 else 's'}, backlog {backlog:,}",
        )
    for sentence in status_warnings(status, OLD_AFTER_SECONDS):
        yield warning(Area.CONSUMERS, sentence, "ferry status shows each partition")
    known = {view.place.topic for view in status.partitions if not view.silent}
    if heard and (unknown := sorted(set(topics) - known)):
        yield warning(
            Area.CONSUMERS,
            f"the consumers at work have not told of {', '.join(unknown)}: they have other routes than those here, "
            "or have just started",
            "start them with the same FERRY_ROUTES and FERRY_TOPIC; ask again in a minute",
        )
    if isinstance(group, Unknown) or group is None:
        return
    if group.members and not heard:
        yield error(
            Area.CONSUMERS,
            f"the group {group.name} has {group.members} member{'' if group.members == 1 else 's'} in Kafka "
            f"({group.state}), and none of them has written to this Redis lately",
            "another program uses that group (give CONSUMER_GROUP another name), or the consumers have another "
            "CELERY_BROKER_URL or FERRY_KEY_PREFIX, or can't reach Redis: their logs say so",
        )


def worker_findings(
    listeners: int | None, queued: Mapping[str, int | None], listening: Mapping[str, int] | None
) -> Iterator[Finding]:
    """Judge whether workers are connected, by the connections that listen for them (None: it may not be asked), what
    waits in the queues, and whether somebody takes from each (`listening`; None: it can't be told)."""
    waiting = ", ".join(f"{queue}: {length:,}" for queue, length in queued.items() if length is not None)
    if listeners is None:
        yield ok(Area.WORKERS, f"who is connected may not be asked (CLIENT LIST); waiting in the queues: {waiting}")
    elif listeners:
        yield ok(Area.WORKERS, f"Celery workers are connected; waiting in the queues: {waiting}")
    else:
        yield warning(
            Area.WORKERS,
            f"no worker that listens to remote control is connected; waiting in the queues: {waiting}",
            "celery -A ferry_worker worker, or your own app's worker",
        )
    if listeners != 0 and listening is not None:
        for queue in [queue for queue in queued if not listening.get(queue)]:
            yield warning(
                Area.WORKERS,
                f"no worker that runs Ferry's messages takes from the queue {queue}",
                f"start one with -Q {queue}, or with FERRY_ROUTES and without -Q; that of your own app needs "
                "ferry_worker.track(app)",
            )
    for queue in [queue for queue, length in queued.items() if length is None]:
        yield error(
            Area.WORKERS,
            f"the key of the queue {queue} in Redis holds something else than a queue",
            "give FERRY_KEY_PREFIX a value of its own where others use this database, or the route another queue",
        )


def cluster_findings(of_ledgers: Collection[str], of_kafka: str) -> Iterator[Finding]:
    """Judge by the consumer's own rule whether the ledgers belong to this cluster."""
    from ferry_consumer.resume import of_another_cluster  # noqa: PLC0415 - other services are imported when needed

    for cluster in sorted(of_ledgers):
        if problem := of_another_cluster(cluster, of_kafka):
            yield error(
                Area.CONSUMERS, problem, "correct KAFKA_BOOTSTRAP_SERVERS or CELERY_BROKER_URL, or separate the two"
            )
