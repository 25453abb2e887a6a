"""From a backlog in Kafka to tasks that are done: one consumer, one worker with two processes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench import ferry, peer
from bench.line import NOTHING, PRINT, Backlog, ferry_rate, plain_rate
from bench.report import Report
from bench.rounds import Subject, alternate, rate
from bench.servers import started_servers
from bench.work import produce_backlog

if TYPE_CHECKING:
    from bench.options import Options
    from bench.report import Reading
    from bench.servers import Servers

NAME = "end_to_end"
WORKER_PROCESSES = 2
#: Consumer and worker run at once in the beginning and the worker alone later on, in the same proportion whatever
#: the backlog: so what is slow gets a smaller backlog to its end, and not the beginning of a larger one.
SMALLER_BY = 10
NOTES = (
    peer.CANNOT_RUN,
    f"plain loop and stock worker, and Ferry's single tasks, get 1 message in {SMALLER_BY}, to the end",
    "from the first task done to the last; a no-op task adds one to a count in memory, printSomething writes a log",
)
_TASKS = {NOTHING: "no-op", PRINT: "printSomething"}


def run(options: Options) -> Report:
    """Measure everybody in alternating rounds."""
    smaller = Backlog("smaller", options.messages // SMALLER_BY, options.seconds)
    whole = Backlog("whole", options.messages, options.seconds)
    with started_servers() as servers:
        for backlog in (smaller, whole):
            options.tell(f"producing a backlog of {backlog.messages:,}")
            produce_backlog(servers.kafka.bootstrap_servers, backlog.topic, backlog.messages)
        subjects = [
            Subject(f"{who}, {name}", partial(measure, servers, backlog, task))
            for task, name in _TASKS.items()
            for who, measure, backlog in (("plain loop + stock worker", _plain, smaller), ("ferry", _ferry, whole))
        ]
        subjects.append(Subject("ferry, single tasks", partial(_ferry_single, servers, smaller)))
        measured = alternate(subjects, options.rounds, options.tell)
    facts = {
        "messages": options.messages,
        "rounds": options.rounds,
        "worker processes": WORKER_PROCESSES,
    } | measured.facts
    return Report(NAME, measured.series, measured.missing, NOTES, facts, peer.code_of("plain_loop", "stock"))


def _plain(servers: Servers, backlog: Backlog, task: str) -> list[Reading]:
    key = "plain_print" if task == PRINT else "plain_noop"
    label = f"plain loop + stock worker, {_TASKS[task]}"
    return rate(key, label, plain_rate(servers, backlog, task, WORKER_PROCESSES))


def _ferry(servers: Servers, backlog: Backlog, task: str) -> list[Reading]:
    key = "ferry_print" if task == PRINT else "ferry_noop"
    label = f"ferry, batches of 100, {_TASKS[task]}"
    return rate(key, label, ferry_rate(servers, backlog, task, WORKER_PROCESSES, ferry.BATCH))


def _ferry_single(servers: Servers, backlog: Backlog) -> list[Reading]:
    label = "ferry, single tasks, no-op"
    return rate("ferry_single_noop", label, ferry_rate(servers, backlog, NOTHING, WORKER_PROCESSES, {}))
