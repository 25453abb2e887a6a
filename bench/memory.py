"""What a consumer needs for a large backlog: memory against a small one, and CPU a message along the way.

A real worker works the backlog off, in batches and with a no-op task: so the limits of what is in flight hold as by
default, Valkey stays as small as it is in production, and what grows would be the consumer's own.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import psutil

from bench import ferry, tally
from bench.figures import at_even_speed, between, control_of, drift_percent, rate_of, window_costs
from bench.line import NOTHING, await_worker
from bench.processes import peak_memory_bytes
from bench.report import Reading, Report
from bench.rounds import Subject, alternate
from bench.sampling import samples_until
from bench.servers import started_servers
from bench.work import produce_backlog

if TYPE_CHECKING:
    from bench.figures import Sample
    from bench.options import Options
    from bench.servers import Servers

NAME = "memory"
WORKER_PROCESSES = 2
WINDOWS = 25
#: Windows before the first and behind the last. librdkafka fetches ahead what fits into 16 MiB, so the beginning of a
#: backlog pays for fetching what follows, and its end has been fetched already.
MARGIN_WINDOWS = 2
MIB = 1024**2
NOTES = (
    "the consumer's resident memory at its highest, from its start to its last dispatch; batches of 100, default "
    "limits, and a worker that runs a no-op task",
    f"CPU a message in {WINDOWS} equal windows along the large backlog, without the first and last messages, which "
    "librdkafka fetches ahead; drift: how much the line fitted by least squares rises or falls from the first to the "
    "last, in per cent of the mean",
    "at even speed: a message is the same work for the worker in each window, so what changes in its cost is the "
    "machine's speed, by which the consumer's cost is divided",
)


def run(options: Options) -> Report:
    """Work off a small and a large backlog in alternating rounds."""
    small = max(1, options.messages // WINDOWS)
    large = options.messages + 2 * MARGIN_WINDOWS * small
    with started_servers() as servers:
        for topic, messages in (("small", small), ("large", large)):
            options.tell(f"producing a backlog of {messages:,}")
            produce_backlog(servers.kafka.bootstrap_servers, topic, messages)
        subjects = [
            Subject(f"backlog of {messages:,}", partial(_round, servers, options, topic, messages))
            for topic, messages in (("small", small), ("large", large))
        ]
        measured = alternate(subjects, options.rounds, options.tell)
    facts = {"messages": options.messages, "small backlog": small, "rounds": options.rounds} | measured.facts
    return Report(NAME, measured.series, measured.missing, NOTES, facts)


def _round(servers: Servers, options: Options, topic: str, messages: int) -> list[Reading]:
    servers.empty_valkey()
    group = servers.fresh_name("ferry")
    of = ferry.settings(servers, group, ferry.own_route(topic, NOTHING) | ferry.BATCH)
    of |= {tally.FOLDER_VARIABLE: str(servers.fresh_folder("tally"))}
    with ExitStack() as stack:
        worker = stack.enter_context(ferry.worker(servers, of, WORKER_PROCESSES))
        # A consumer that waits for its worker would use time that belongs to no message.
        await_worker(servers, worker)
        consumer = stack.enter_context(ferry.consumer(servers, of))
        done = ferry.dispatched(servers, group, topic)
        pool = [process.pid for process in psutil.Process(worker.pid).children()]
        samples = samples_until(
            messages,
            done,
            [consumer, worker],
            most_seconds=options.seconds,
            cpu_of=[consumer.pid],
            control=[worker.pid, *pool],
        )
        peak = peak_memory_bytes(consumer.pid)
    found = [Reading(f"rss_{topic}", f"consumer memory, backlog of {messages:,}", "MiB", peak / MIB)]
    return found if topic == "small" else [*found, *_costs(samples, options.messages)]


def _costs(samples: list[Sample], messages: int) -> list[Reading]:
    margin = MARGIN_WINDOWS * messages // WINDOWS
    counted = between(samples, margin, margin + messages)
    costs, control = window_costs(counted, WINDOWS), window_costs(control_of(counted), WINDOWS)
    even = at_even_speed(costs, control)
    return [
        Reading("cpu_mean", "consumer CPU a message, mean", "µs", sum(costs) / len(costs)),
        *(Reading("cpu_windows", f"the same in {WINDOWS} windows", "µs", cost) for cost in costs),
        *(Reading("worker_windows", "worker CPU a message in the same windows", "µs", cost) for cost in control),
        Reading("cpu_drift_measured", "drift of the consumer's, as measured", "%", drift_percent(costs)),
        Reading("worker_drift", "drift of the worker's, as measured", "%", drift_percent(control)),
        Reading("cpu_drift", "drift of the consumer's at even speed", "%", drift_percent(even)),
        Reading("rate_large", "dispatched, as fast as the worker goes", "messages/s", rate_of(samples)),
    ]
