"""How fast one process takes a backlog from Kafka to the queue; no worker takes anything from it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from bench import ferry, peer, tally
from bench.failures import MeasurementFailed
from bench.figures import rate_of
from bench.report import Report
from bench.rounds import Subject, alternate, rate
from bench.sampling import samples_until
from bench.servers import started_servers
from bench.work import produce_backlog
from ferry_consumer.intake import FETCHING_AHEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.options import Options
    from bench.report import Reading
    from bench.servers import Servers

NAME = "dispatch"
NOTES = (
    peer.CANNOT_RUN,
    "Ferry: one `ferry-consumer run` with ledger, validation, metrics and HTTP port; its limits of what is in flight "
    "are above the backlog, as nobody works it off",
    f"raw like Ferry: with the two properties of librdkafka that Ferry sets for itself, {json.dumps(FETCHING_AHEAD)}",
    "from the first message dispatched to the last; a round that is not over by then ends after --seconds",
)
#: In batches of 100, of which the last one of a partition and round is smaller.
LEAST_MESSAGES_A_TASK = 50


def run(options: Options) -> Report:
    """Measure everybody in alternating rounds."""
    with started_servers() as servers:
        options.tell(f"producing a backlog of {options.messages:,}")
        produce_backlog(servers.kafka.bootstrap_servers, NAME, options.messages)
        measured = alternate(list(subjects(servers, options).values()), options.rounds, options.tell)
    code = peer.code_of("raw", "plain_loop", "kombu_batch", "stock")
    facts = {"messages": options.messages, "rounds": options.rounds, "seconds": options.seconds} | measured.facts
    return Report(NAME, measured.series, measured.missing, NOTES, facts, code)


def subjects(servers: Servers, options: Options) -> dict[str, Subject]:
    """Everybody who can dispatch the backlog in the topic `dispatch`, by the key of their series."""
    queued, own = partial(_queued, servers, options), partial(_ferry, servers, options)
    return {
        "raw": Subject("raw consume + parse", partial(_raw, servers, options, "raw", "raw consume + parse", {})),
        "raw_like_ferry": Subject(
            "raw like Ferry",
            partial(_raw, servers, options, "raw_like_ferry", "raw, fetching ahead like Ferry", FETCHING_AHEAD),
        ),
        "plain": Subject("plain loop", partial(queued, "plain", "plain loop: poll + .delay()", "plain_loop")),
        "kombu": Subject("kombu's batch", partial(queued, "kombu", "kombu's Producer.batch", "kombu_batch")),
        "ferry_single": Subject("ferry, single tasks", partial(own, "ferry_single", "ferry, single tasks", {})),
        "ferry_batch": Subject("ferry, batches", partial(own, "ferry_batch", "ferry, batches of 100", ferry.BATCH)),
    }


def _raw(servers: Servers, options: Options, key: str, label: str, properties: Mapping[str, int]) -> list[Reading]:
    """Nothing is queued: it counts by itself."""
    counts = servers.fresh_folder("tally")
    of = peer.settings(servers, NAME, "nothing", counts) | {"BENCH_PROPERTIES": json.dumps(properties)}
    with peer.program(servers, "raw", of) as process:
        done = partial(tally.total, counts)
        samples = samples_until(options.messages, done, [process], most_seconds=options.seconds)
    return rate(key, label, rate_of(samples))


def _queued(servers: Servers, options: Options, key: str, label: str, program: str) -> list[Reading]:
    """A peer that queues one task a message: the queue's length says how far it is."""
    servers.empty_valkey()
    with peer.program(servers, program, peer.settings(servers, NAME, "nothing")) as process:
        done = partial(_queue_length, servers)
        samples = samples_until(options.messages, done, [process], most_seconds=options.seconds)
    return rate(key, label, rate_of(samples))


def _ferry(servers: Servers, options: Options, key: str, label: str, more: Mapping[str, str]) -> list[Reading]:
    servers.empty_valkey()
    group = servers.fresh_name("ferry")
    wanted = ferry.own_route(NAME, "nothing") | ferry.without_limits(options.messages) | dict(more)
    with ferry.consumer(servers, ferry.settings(servers, group, wanted)) as process:
        done = ferry.dispatched(servers, group, NAME)
        samples = samples_until(options.messages, done, [process], most_seconds=options.seconds)
        check_tasks(samples[-1].count, _queue_length(servers), batches=more == ferry.BATCH)
    return rate(key, label, rate_of(samples))


def check_tasks(messages: int, tasks: int, *, batches: bool) -> None:
    """See that what was measured is what its name says: positions alone would not tell.

    Raises:
        MeasurementFailed: the queue holds another number of tasks.
    """
    expected = 0 < tasks * LEAST_MESSAGES_A_TASK <= messages if batches else tasks >= messages
    if not expected:
        kind = "batches" if batches else "single tasks"
        raise MeasurementFailed(f"expected {kind}: {messages:,} messages became {tasks:,} tasks")


def _queue_length(servers: Servers) -> int:
    return int(str(servers.client.llen(peer.QUEUE)))
