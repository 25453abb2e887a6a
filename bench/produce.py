"""How fast a file's lines get into Kafka, acknowledged: `ferry-producer --file` against kcat and a plain program."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

from bench.failures import MeasurementFailed
from bench.figures import rate_of
from bench.peer import code_of
from bench.processes import check_running, python, running
from bench.report import Report
from bench.rounds import Subject, alternate, rate
from bench.sampling import samples_until
from bench.servers import started_servers
from bench.work import admin_of, create_topic, log_ends, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.options import Options
    from bench.report import Reading
    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

NAME = "produce"
END_SECONDS = 30.0
_LOOK_SECONDS = 0.01
#: Each look is a request to the Kafka that is being written to: every 5 ms they would take a third of kcat's speed.
SAMPLE_SECONDS = 0.02
KCAT = ("kcat", "-P", "-X", "acks=all")
NOTES = (
    "from the first message in Kafka's log to the last; then each program must end by itself with exit code 0",
    "the whole command: from its start to its end, as a shell's `time` tells it",
    "ferry-producer checks each line by the built-in model and adds an id and the time: it sends longer messages",
)


def run(options: Options) -> Report:
    """Measure everybody in alternating rounds."""
    with started_servers() as servers:
        bootstrap_servers = servers.kafka.bootstrap_servers
        lines = servers.folder / "lines.jsonl"
        write_lines(lines, options.messages)
        commands: dict[str, tuple[str, Callable[[str], Sequence[str]]]] = {
            "kcat": ("kcat -P -l FILE", lambda topic: kcat_command(bootstrap_servers, lines, topic)),
            "producer": ("Producer.produce with callbacks", lambda _topic: python("-m", "bench.peers.plain_producer")),
            "ferry": ("ferry-producer --file", lambda topic: _ferry(lines, topic)),
        }
        subjects = [
            Subject(label, partial(_measure, servers, options, key, label, command))
            for key, (label, command) in commands.items()
        ]
        measured = alternate(subjects, options.rounds, options.tell)
    facts = {"messages": options.messages, "rounds": options.rounds} | measured.facts
    code = {"kcat": f"{' '.join(KCAT)} -b BROKER -t TOPIC -l FILE\n"} | code_of("plain_producer")
    return Report(NAME, measured.series, measured.missing, NOTES, facts, code)


def kcat_command(bootstrap_servers: str, lines: Path, topic: str) -> list[str]:
    """The command of kcat.

    Raises:
        MeasurementFailed: it is not installed.
    """
    path = shutil.which(KCAT[0])
    if path is None:
        raise MeasurementFailed("kcat is not on this machine; on Debian or Ubuntu: apt install kcat")
    return [path, *KCAT[1:], "-b", bootstrap_servers, "-t", topic, "-l", str(lines)]


def _ferry(lines: Path, topic: str) -> list[str]:
    return python("-m", "ferry_producer", "--file", str(lines), "--topic", topic)


def _measure(
    servers: Servers, options: Options, key: str, label: str, command: Callable[[str], Sequence[str]]
) -> list[Reading]:
    """One program, one new topic."""
    topic = servers.fresh_name(NAME)
    words = command(topic)
    create_topic(servers.kafka.bootstrap_servers, topic)
    started = time.monotonic()
    with running(servers, key, words, _settings(servers, topic)) as process:
        done = partial(log_ends, admin_of(servers.kafka.bootstrap_servers), topic)
        samples = samples_until(
            options.messages, done, [process], most_seconds=options.seconds, sample_seconds=SAMPLE_SECONDS
        )
        whole = options.messages / (_await_end(process) - started)
        if done() != options.messages:
            raise MeasurementFailed(f"{done():,} of {options.messages:,} messages are in Kafka")
    return rate(key, label, rate_of(samples)) + rate(f"{key}_whole", f"{label}, the whole command", whole)


def _settings(servers: Servers, topic: str) -> Mapping[str, str]:
    return {
        "BENCH_FILE": str(servers.folder / "lines.jsonl"),
        "BENCH_TOPIC": topic,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka.bootstrap_servers,
    }


def _await_end(process: ServiceProcess) -> float:
    """Return when it ended."""
    deadline = time.monotonic() + END_SECONDS
    while process.running:
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{process.name} did not end within {END_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)
    ended = time.monotonic()
    check_running([process])
    return ended
