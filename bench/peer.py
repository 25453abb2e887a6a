"""The peers' processes, and their programs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.processes import ROOT, python, running
from bench.tally import FOLDER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.servers import Servers
    from ferry_console.local.service_process import ServiceProcess

QUEUE = "celery"
CANNOT_RUN = "kafka-celery-bridge is not here: it can't be run, its wheel holds no module"


def settings(
    servers: Servers, topic: str, task: str, tally: Path | None = None, *, database: int = 0
) -> dict[str, str]:
    """What a peer's programs read from their environment; each call names a new consumer group."""
    return {
        "BENCH_GROUP": servers.fresh_name("peer"),
        "BENCH_TASK": task,
        "BENCH_TOPIC": topic,
        "CELERY_BROKER_URL": servers.valkey.database_url(database),
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka.bootstrap_servers,
    } | ({FOLDER_VARIABLE: str(tally)} if tally else {})


def program(servers: Servers, name: str, of: Mapping[str, str]) -> AbstractContextManager[ServiceProcess]:
    """Run a module of `bench.peers`."""
    return running(servers, name, python("-m", f"bench.peers.{name}"), of)


def stock_worker(
    servers: Servers, of: Mapping[str, str], processes: int, *, log_level: str = "WARNING"
) -> AbstractContextManager[ServiceProcess]:
    """A stock Celery worker with so many processes. At INFO it writes two lines a task besides the task's own."""
    return running(servers, "stock-worker", python("-m", *_worker_words(str(processes), log_level)), of)


def _worker_words(processes: str, log_level: str) -> tuple[str, ...]:
    return ("celery", "-A", "bench.peers.stock", "worker", f"--concurrency={processes}", f"--loglevel={log_level}")


def code_of(*names: str) -> dict[str, str]:
    """The peers' programs, by module, and the stock worker's command."""
    programs = {f"bench.peers.{name}": (ROOT / "bench" / "peers" / f"{name}.py").read_text() for name in names}
    command = " ".join(_worker_words("PROCESSES", "WARNING, or INFO for a task that prints"))
    return programs | ({"the stock worker": f"{command}\n"} if "stock" in names else {})
