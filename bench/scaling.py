"""What a second consumer and a second worker process bring, as far as this machine's processors show it.

And what a message costs each part, from which follows what the machine can't show.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from bench import ferry
from bench.costs import costs
from bench.failures import MeasurementFailed
from bench.figures import rate_of
from bench.line import NOTHING, Backlog, ferry_rate
from bench.processes import check_running
from bench.report import Report
from bench.rounds import Subject, alternate, rate
from bench.sampling import samples_until
from bench.servers import started_servers
from bench.work import PARTITIONS, admin_of, produce_backlog
from ferry_shared.ledger.pauses import Pause, pause, unpause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka.admin import AdminClient

    from bench.options import Options
    from bench.report import Reading
    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

NAME = "scaling"
JOIN_SECONDS = 60.0
#: Single tasks take that many times as long.
SINGLE_SHARE = 10
NOTES = (
    "consumers share the partitions of a group; they join while the topic is paused, and are measured from its resume",
    "Kafka, Valkey and what is measured share the processors of this machine: what they can't show is not shown",
)


def run(options: Options) -> Report:
    """Measure one and two of each in alternating rounds."""
    backlog = Backlog(NAME, options.messages, options.seconds)
    with started_servers() as servers:
        options.tell(f"producing a backlog of {options.messages:,}")
        produce_backlog(servers.kafka.bootstrap_servers, NAME, options.messages)
        consumers = [
            Subject(f"{number} consumer(s), {kind}", partial(_consumers, servers, backlog, number, kind))
            for kind in ("single", "batch")
            for number in (1, 2)
        ]
        workers = [
            Subject(f"{number} worker process(es)", partial(_workers, servers, backlog, number)) for number in (1, 2)
        ]
        fewer = Backlog(NAME, options.messages // SINGLE_SHARE, options.seconds)
        parts = [
            Subject("costs, single tasks", partial(costs, servers, fewer, "single")),
            Subject("costs, batches of 100", partial(costs, servers, backlog, "batch")),
        ]
        measured = alternate([*consumers, *workers, *parts], options.rounds, options.tell)
    facts = {"messages": options.messages, "rounds": options.rounds, "processors": os.cpu_count() or 0} | measured.facts
    return Report(NAME, measured.series, measured.missing, NOTES, facts)


def _workers(servers: Servers, backlog: Backlog, processes: int) -> list[Reading]:
    label = f"end to end, batches of 100, worker processes: {processes}"
    return rate(f"workers_{processes}", label, ferry_rate(servers, backlog, NOTHING, processes, ferry.BATCH))


def _consumers(servers: Servers, backlog: Backlog, number: int, kind: str) -> list[Reading]:
    """Dispatch a backlog with so many consumers, which have shared the partitions before they begin."""
    servers.empty_valkey()
    group = servers.fresh_name("ferry")
    wanted = ferry.own_route(NAME, NOTHING) | ferry.without_limits(backlog.messages)
    wanted |= ferry.BATCH if kind == "batch" else {}
    pause(servers.client, "", group, NAME, Pause("bench", 0, "until all have joined"))
    with ExitStack() as stack:
        processes = [
            stack.enter_context(ferry.consumer(servers, ferry.settings(servers, group, wanted))) for _ in range(number)
        ]
        _await_shares(servers, group, processes)
        unpause(servers.client, "", group, NAME)
        done = ferry.dispatched(servers, group, NAME)
        samples = samples_until(backlog.messages, done, processes, most_seconds=backlog.seconds)
    label = "dispatch, batches of 100" if kind == "batch" else "dispatch, single tasks"
    return rate(f"consumers_{number}_{kind}", f"{label}, consumers: {number}", rate_of(samples))


def _await_shares(servers: Servers, group: str, processes: Sequence[ServiceProcess]) -> None:
    """Wait until all partitions are shared evenly, as Kafka tells it, and Ferry has taken all of them up."""
    admin = admin_of(servers.kafka.bootstrap_servers)
    deadline = time.monotonic() + JOIN_SECONDS
    share = PARTITIONS // len(processes)
    while _shares(admin, group) != [share] * len(processes) or not _taken_up(servers, group):
        check_running(processes)
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{len(processes)} consumers did not share the partitions: {_shares(admin, group)}")
        time.sleep(0.1)


def _shares(admin: AdminClient, group: str) -> list[int]:
    """How many partitions each member has; empty while Kafka can't tell, which it can't at a group's beginning."""
    try:
        described = admin.describe_consumer_groups([group])[group].result()
    except KafkaException:
        return []
    return sorted(len(member.assignment.topic_partitions) for member in described.members)


def _taken_up(servers: Servers, group: str) -> bool:
    return all(servers.client.exists(head) for head in ferry.heads(group, NAME))
