"""What a message costs each part in processor time: it tells which part reaches its limit first, and when."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import psutil

from bench import ferry, tally
from bench.failures import MeasurementFailed
from bench.line import NOTHING, Backlog, await_worker
from bench.processes import cpu_seconds
from bench.report import Reading
from bench.sampling import samples_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

WORKER_PROCESSES = 2
LABELS = {
    "kafka": "Kafka, all threads",
    "valkey": "Valkey, all threads",
    "consumer": "consumer, all threads",
    "parent": "worker, its parent",
    "children": "worker, its processes",
}


def costs(servers: Servers, backlog: Backlog, kind: str) -> list[Reading]:
    """Work a backlog off, as `single` tasks or in a `batch` of 100, and read what each part has used meanwhile.

    Raises:
        MeasurementFailed: a part ended, or nothing went on.
    """
    servers.empty_valkey()
    counts = servers.fresh_folder("tally")
    more = ferry.own_route(backlog.topic, NOTHING) | (ferry.BATCH if kind == "batch" else {})
    of = ferry.settings(servers, servers.fresh_name("ferry"), more) | {tally.FOLDER_VARIABLE: str(counts)}
    done = partial(tally.total, counts)
    with ExitStack() as stack:
        worker = stack.enter_context(ferry.worker(servers, of, WORKER_PROCESSES))
        await_worker(servers, worker)
        consumer = stack.enter_context(ferry.consumer(servers, of))
        parts = {
            "kafka": [_pid(servers.kafka.process)],
            "valkey": [_pid(servers.valkey.process)],
            "consumer": [consumer.pid],
            "parent": [worker.pid],
            "children": [child.pid for child in psutil.Process(worker.pid).children()],
        }
        # Once the first is done, so that no start is in it.
        samples_until(1, done, [worker, consumer], most_seconds=backlog.seconds)
        before, first = _used(parts), done()
        samples_until(backlog.messages, done, [worker, consumer], most_seconds=backlog.seconds)
        after, last = _used(parts), done()
    return cost_readings(kind, before, after, last - first)


def cost_readings(kind: str, before: Mapping[str, float], after: Mapping[str, float], messages: int) -> list[Reading]:
    """Of two looks at the seconds that each part has used, and so many messages between them.

    Raises:
        MeasurementFailed: there were none.
    """
    if messages == 0:
        raise MeasurementFailed("all was done before it could be measured: measure with more --messages")
    kinds = "batches of 100" if kind == "batch" else "single tasks"
    return [
        Reading(f"cost_{kind}_{part}", f"{kinds}: {label}", "µs", 1e6 * (after[part] - before[part]) / messages)
        for part, label in LABELS.items()
    ]


def _pid(server: ServiceProcess | None) -> int:
    if server is None:
        raise MeasurementFailed("a server has ended")
    return server.pid


def _used(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {part: sum(map(cpu_seconds, pids)) for part, pids in parts.items()}
