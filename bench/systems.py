"""Kafka, Valkey and the two systems under measurement, each with a topic, a database and a file of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient, NewTopic

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.valkey import LocalValkey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTITIONS = 4
WORKER_PROCESSES = 2
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class System:
    """One of the peers, running; its task writes a latency in milliseconds a line into `file`."""

    name: str
    topic: str
    file: Path
    bootstrap_servers: str


@contextmanager
def both() -> Iterator[tuple[System, System]]:
    """Start everything; stop it at the end, also after an error."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferry-bench-")))
        kafka, valkey = LocalKafka(folder / "kafka"), LocalValkey(folder / "valkey")
        for server in (kafka, valkey):
            stack.callback(server.stop)
            server.start()
        kafka.wait_ready()
        valkey.wait_ready()
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        systems = [System(name, name, folder / f"{name}.txt", kafka.bootstrap_servers) for name in ("plain", "ferry")]
        for future in admin.create_topics([NewTopic(system.topic, PARTITIONS, 1) for system in systems]).values():
            future.result()
        worker = ("worker", f"--concurrency={WORKER_PROCESSES}", "--loglevel=WARNING")
        commands = {
            "plain": (("-m", "bench.plain.loop"), ("-m", "celery", "-A", "bench.plain.tasks", *worker)),
            "ferry": (("-m", "ferry_consumer", "run"), ("-m", "celery", "-A", "ferry_worker", *worker)),
        }
        for database, system in enumerate(systems):
            for command in commands[system.name]:
                stack.enter_context(_process(command, _environment(system, valkey.database_url(database)), folder))
        try:
            yield systems[0], systems[1]
        except TimeoutError:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
            raise


def _environment(system: System, broker: str) -> dict[str, str]:
    ours = {
        "BENCH_FILE": str(system.file),
        "BENCH_TOPIC": system.topic,
        "CELERY_BROKER_URL": broker,
        "CONSUMER_HTTP_PORT": "0",
        "FERRY_IMPORTS": "bench.own.tasks",
        "FERRY_ROUTES": "bench.own.routes:routes",
        "KAFKA_BOOTSTRAP_SERVERS": system.bootstrap_servers,
        "LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(ROOT),
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | ours


@contextmanager
def _process(arguments: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    log = folder / f"{Path(environment['BENCH_FILE']).stem}-{arguments[1]}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def latencies(system: System, already: int, wanted: int, timeout_seconds: float) -> list[float]:
    """Wait until `wanted` more lines are there, and return them.

    Raises:
        TimeoutError: the system did not run them all.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        lines = system.file.read_text().splitlines() if system.file.exists() else []
        if len(lines) >= already + wanted:
            return [float(line) for line in lines[already:]]
        if time.monotonic() > deadline:
            raise TimeoutError(f"{system.name}: {len(lines) - already} of {wanted} within {timeout_seconds} s")
        time.sleep(0.05)
