"""From produce to task start, at a steady rate, in alternating rounds: Ferry against a `poll` + `.delay()` loop."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from bench import ferry, peer
from bench.failures import MeasurementFailed
from bench.figures import percentile
from bench.report import Reading, Report
from bench.rounds import Measured, Subject, alternate
from bench.servers import started_servers
from bench.warm_up import warm_up
from bench.work import QUIET, create_topic, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.options import Options
    from bench.servers import Servers

NAME = "latency"
WORKER_PROCESSES = 2
WARM_UP_RATE, WARM_UP_MESSAGES = 400, 2_000
TIMEOUT_SECONDS = 60.0
NOTES = (
    peer.CANNOT_RUN,
    "plain loop and Ferry run all the time, one at a time gets messages; Ferry with batches runs alone afterwards",
    "before all of them Kafka is warmed up, each system by some seconds of messages",
    "from just before produce() to the task's first line, in the worker",
    "sent at once: linger.ms=0, each message a request of its own to a partition by chance",
    "batches: by a sender with librdkafka's defaults (linger.ms=5), which is part of what is measured",
)
LABELS = {"plain": "plain loop + stock worker", "ferry": "ferry", "batch": "ferry, batches"}
#: The sender's properties. Against a loop a message is sent at once: what both wait for would hide the difference.
AT_ONCE, BY_DEFAULT = "sent at once", "sent by default"
SENDERS: dict[str, dict[str, int]] = {AT_ONCE: {"linger.ms": 0}, BY_DEFAULT: {}}


@dataclass(frozen=True, slots=True)
class Pace:
    """Who is measured, at how many messages a second, by which sender; `series` is what its series' keys begin with."""

    series: str
    name: str
    rate: int
    sender: str = AT_ONCE

    @property
    def label(self) -> str:
        """For tables and pictures."""
        who = LABELS[self.name] if self.name != "batch" else f"{LABELS[self.name]}, {self.sender}"
        return f"{who}, {self.rate:,}/s"


SINGLES = (
    Pace("plain_100", "plain", 100),
    Pace("ferry_100", "ferry", 100),
    Pace("plain_400", "plain", 400),
    Pace("ferry_400", "ferry", 400),
)
BATCHES = (
    Pace("batch_100", "batch", 100, BY_DEFAULT),
    Pace("batch_1000", "batch", 1_000, BY_DEFAULT),
    Pace("batch_1000_at_once", "batch", 1_000),
)


@dataclass(slots=True)
class System:
    """Loop and worker, running; its task writes a latency in milliseconds a line into `file`."""

    name: str
    file: Path
    senders: Mapping[str, Producer]
    seen: int = 0
    is_behind: bool = False

    def measure(self, rate: int, messages: int, sender: str) -> list[float]:
        """Send messages at an even pace and wait for their tasks; returns their latencies.

        Raises:
            MeasurementFailed: they did not all run, now or in an earlier round: late ones would be taken for these.
        """
        if self.is_behind:
            raise MeasurementFailed("it was not through with an earlier round")
        producer = self.senders[sender]
        start = time.monotonic()
        for number in range(messages):
            wait = start + number / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            producer.produce(self.name, value_of(number, time.time()))
            producer.poll(0)
        producer.flush()
        return self._latencies(messages)

    def _latencies(self, wanted: int) -> list[float]:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            lines = self.file.read_text().splitlines() if self.file.exists() else []
            if len(lines) >= self.seen + wanted:
                self.seen += wanted
                return [float(line) for line in lines[self.seen - wanted : self.seen]]
            if time.monotonic() > deadline:
                self.is_behind = True
                raise MeasurementFailed(f"{len(lines) - self.seen} of {wanted} tasks ran in {TIMEOUT_SECONDS:.0f} s")
            time.sleep(0.05)


def run(options: Options) -> Report:
    """Measure everybody in alternating rounds."""
    with started_servers() as servers:
        options.tell("warming up Kafka")
        warm_up(servers.kafka.bootstrap_servers)
        found = [_alternated(servers, options, paces) for paces in (SINGLES, BATCHES)]
    series = tuple(series for measured in found for series in measured.series)
    missing = {who: why for measured in found for who, why in measured.missing.items()}
    facts = {"rounds": options.rounds, "seconds": options.seconds, "worker processes": WORKER_PROCESSES}
    code = peer.code_of("plain_loop", "stock")
    return Report(NAME, series, missing, NOTES, facts, code)


def _alternated(servers: Servers, options: Options, paces: Sequence[Pace]) -> Measured:
    """Start those who are measured, and measure them in alternating rounds."""
    missing: dict[str, str] = {}
    systems: dict[str, System] = {}
    common = QUIET | {"bootstrap.servers": servers.kafka.bootstrap_servers}
    senders = {sender: Producer(common | SENDERS[sender]) for sender in dict.fromkeys(pace.sender for pace in paces)}
    with ExitStack() as stack:
        for name in dict.fromkeys(pace.name for pace in paces):
            options.tell(f"starting {LABELS[name]}")
            try:
                systems[name] = _started(servers, name, senders, stack)
                for sender in senders:
                    systems[name].measure(WARM_UP_RATE, WARM_UP_MESSAGES, sender)
            except MeasurementFailed as error:
                missing[LABELS[name]] = str(error)
                systems.pop(name, None)
        subjects = [
            Subject(pace.label, partial(_round, systems[pace.name], pace, options.seconds))
            for pace in paces
            if pace.name in systems
        ]
        measured = alternate(subjects, options.rounds, options.tell)
    return Measured(measured.series, missing | measured.missing)


def _round(system: System, pace: Pace, seconds: float) -> list[Reading]:
    times = system.measure(pace.rate, int(pace.rate * seconds), pace.sender)
    return [
        Reading(f"{pace.series}_p{part}", f"{pace.label}, p{part}", "ms", percentile(times, part)) for part in (50, 99)
    ]


def _started(servers: Servers, name: str, senders: Mapping[str, Producer], stack: ExitStack) -> System:
    """Start a system with a topic, a database and a file of its own."""
    database = list(LABELS).index(name)
    file = servers.folder / f"{name}.txt"
    if name == "plain":
        of = peer.settings(servers, name, "note", database=database) | {"BENCH_FILE": str(file)}
        parts = (peer.program(servers, "plain_loop", of), peer.stock_worker(servers, of, WORKER_PROCESSES))
    else:
        more = ferry.own_route(name, "note") | (ferry.BATCH if name == "batch" else {})
        of = ferry.settings(servers, name, more, database=database) | {"BENCH_FILE": str(file)}
        parts = (ferry.consumer(servers, of), ferry.worker(servers, of, WORKER_PROCESSES))
    create_topic(servers.kafka.bootstrap_servers, name)
    for part in parts:
        stack.enter_context(part)
    return System(name, file, senders)
