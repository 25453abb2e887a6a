"""A line of consumers and a worker at work on a backlog, and how fast its tasks get done."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench import ferry, peer, tally
from bench.failures import MeasurementFailed
from bench.figures import rate_of
from bench.log_count import LogCount
from bench.processes import check_running
from bench.sampling import SAMPLE_SECONDS, samples_until
from bench.work import TEXT_BEGINNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

NOTHING, PRINT = "nothing", "print_something"
#: Reading a worker's log takes longer than reading a count.
LOG_SAMPLE_SECONDS = 0.05
WORKER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """A topic and how much it holds, and for how long it is worked off at most."""

    topic: str
    messages: int
    seconds: float


def plain_rate(servers: Servers, backlog: Backlog, task: str, processes: int) -> float:
    """Tasks a second by the plain loop and a stock worker."""
    servers.empty_valkey()
    counts = servers.fresh_folder("tally")
    of = peer.settings(servers, backlog.topic, task, counts)
    level = "INFO" if task == PRINT else "WARNING"
    loop = peer.program(servers, "plain_loop", of)
    worker = peer.stock_worker(servers, of, processes, log_level=level)
    return _tasks_a_second(servers, backlog, loop, worker, counts if task == NOTHING else None)


def ferry_rate(servers: Servers, backlog: Backlog, task: str, processes: int, more: Mapping[str, str]) -> float:
    """Tasks a second by Ferry's consumer and worker, with limits and all else as they are by default."""
    servers.empty_valkey()
    counts = servers.fresh_folder("tally")
    of = ferry.settings(servers, servers.fresh_name("ferry"), route_to(task, backlog.topic) | dict(more))
    of |= {tally.FOLDER_VARIABLE: str(counts)}
    consumer, worker = ferry.consumer(servers, of), ferry.worker(servers, of, processes)
    return _tasks_a_second(servers, backlog, consumer, worker, counts if task == NOTHING else None)


def await_worker(servers: Servers, worker: ServiceProcess) -> None:
    """Wait until a worker, whoever's, listens to the queue: kombu notes that in Redis, in the first database.

    Raises:
        MeasurementFailed: it ended, or does not in time.
    """
    deadline = time.monotonic() + WORKER_SECONDS
    while not servers.client.exists(f"_kombu.binding.{peer.QUEUE}"):
        check_running([worker])
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"the worker doesn't listen after {WORKER_SECONDS:.0f} s:\n{worker.log_tail()}")
        time.sleep(LOG_SAMPLE_SECONDS)


def route_to(task: str, topic: str) -> dict[str, str]:
    """Settings of Ferry: the built-in route for printing, else that of the measurements."""
    return {"FERRY_TOPIC": topic} if task == PRINT else ferry.own_route(topic, task)


def _tasks_a_second(
    servers: Servers,
    backlog: Backlog,
    consumer: AbstractContextManager[ServiceProcess],
    worker: AbstractContextManager[ServiceProcess],
    counts: Path | None,
) -> float:
    """From the first task done to the last; without `counts` a task is done when it has written its line."""
    with ExitStack() as stack:
        at_work = stack.enter_context(worker)
        await_worker(servers, at_work)
        processes = [at_work, stack.enter_context(consumer)]
        done: Callable[[], int]
        if counts:
            done, pause = partial(tally.total, counts), SAMPLE_SECONDS
        else:
            done, pause = LogCount(processes[0].log_path, TEXT_BEGINNING), LOG_SAMPLE_SECONDS
        return rate_of(
            samples_until(backlog.messages, done, processes, most_seconds=backlog.seconds, sample_seconds=pause)
        )
