"""The system under test: a real Kafka, a real Valkey, and two of each of Ferry's processes."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.chaos.effects import Part
from tests.chaos.kinds import Resource
from tests.chaos.observation import Observer, Progress
from tests.chaos.routes import TOPIC
from tests.chaos.services import Keeper, Service
from tests.chaos.tasks import DIRECTORY_VARIABLE
from tests.chaos.ticks import TICKS_FILE
from tests.support.clean_environment import clean_environment
from tests.support.eventually import eventually
from tests.support.http_get import http_get
from tests.support.kafka_records import create_topic
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey_server import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tests.chaos.limits import Limits
    from tests.support.ferry_processes import FerryProcess

PARTITIONS = 4
GROUP = "ferry"
ROOT = Path(__file__).parents[2]
STATUS_SECONDS = 5
_START_SECONDS = 120.0
_QUICK_START = ("--without-mingle", "--without-gossip", "--without-heartbeat")


class System:
    """All of it, in one folder; a context manager."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self.directory = directory
        self.limits = limits
        self.kafka = LocalKafka(directory / "kafka")
        self.valkey = ValkeyServer(directory / "valkey", persistence="append-only")
        self.valkey_directory = directory / "valkey"
        self.valkey_run_ids: list[str] = []
        self.environment: dict[str, str] = {}
        self.consumer_ports: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.keeper.abandon()
        self._stack.close()

    def watch_valkey(self, socket_path: Path) -> None:
        """Called at each start of Valkey, before its port is open: from its first command on it is observed."""
        self.observer.wait_attached(socket_path)
        self.valkey_run_ids.append(self.valkey.run_id)

    def service(self, resource: Resource) -> Service:
        """One of Ferry's services."""
        return self.keeper.services[resource]

    @property
    def consumers(self) -> list[Service]:
        """All consumers, also one that is not in the group now."""
        return [service for service in self.keeper.services.values() if service.part is Part.CONSUMER]

    def _start(self, stack: ExitStack) -> None:
        for folder in ("logs", "once"):
            (self.directory / folder).mkdir(parents=True)
        stack.callback(self.kafka.stop)
        self.kafka.start()
        environment = clean_environment()
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
        self.observer = Observer(self.valkey.unix_socket_path, self.directory, environment)
        stack.callback(self.observer.close)
        stack.callback(self.valkey.stop)
        self.valkey.start(self.watch_valkey)
        self.progress = Progress(self.directory)
        (self.directory / TICKS_FILE).touch()
        self.proxy = stack.enter_context(TcpProxy(self.valkey.port))
        self.kafka.wait_ready()
        create_topic(self.kafka.bootstrap_servers, TOPIC, partitions=PARTITIONS)
        self.environment = environment | self._settings()
        self.keeper = Keeper(self._services(self.environment))
        self.service(Resource.CONSUMER_C).wanted = False
        stack.callback(self.keeper.close)
        self.keeper.start()
        for service in self.keeper.services.values():
            if service.wanted:
                service.wait_answering(None, _START_SECONDS)
        # A rebalance right after the first message would be a fault that nobody has planned.
        eventually(lambda: all(map(_has_partitions, self.consumers)), expected=True, timeout_seconds=_START_SECONDS)

    def _settings(self) -> dict[str, str]:
        return self.limits.settings() | {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            # Partitions that are added are to be seen within the run.
            "KAFKA_CLIENT_PROPERTIES": '{"topic.metadata.refresh.interval.ms": 3000}',
            "CELERY_BROKER_URL": self.valkey.url,
            "FERRY_TOPIC": TOPIC,
            "FERRY_ROUTES": "tests.chaos.routes:routes",
            "FERRY_IMPORTS": "tests.chaos.tasks,tests.chaos.ticks",
            "CONSUMER_GROUP": GROUP,
            # What Redis forgets runs again, with whatever has ended since the last commit: not too much of it.
            "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "500",
            "CONSUMER_MAX_BACKOFF_SECONDS": "2",
            "WORKER_STATUS_INTERVAL_SECONDS": str(STATUS_SECONDS),
            "LOG_FORMAT": "json",
            DIRECTORY_VARIABLE: str(self.directory),
        }

    def _services(self, environment: dict[str, str]) -> list[Service]:
        celery = (sys.executable, "-m", "celery", "-A", "ferry_worker")
        services = []
        command: Sequence[str]
        for name in (Resource.CONSUMER_A, Resource.CONSUMER_B, Resource.CONSUMER_C):
            port = self.consumer_ports[name] = free_port()
            own = {
                "CONSUMER_HTTP_PORT": str(port),
                "CONSUMER_INSTANCE_ID": name if name is Resource.CONSUMER_A else "",
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.proxy.port}/0",
            }
            command = (sys.executable, "-m", "ferry_consumer", "run")
            services.append(Service(name, Part.CONSUMER, command, environment | own, self.directory, _lives_at(port)))
        for name in (Resource.WORKER_A, Resource.WORKER_B):
            command = (*celery, "worker", "-c", "2", "-n", f"{name}@%h", *_QUICK_START)
            services.append(Service(name, Part.WORKER, command, environment, self.directory, _is_ready))
        for name in (Resource.BEAT_A, Resource.BEAT_B):
            command = (*celery, "beat", "--pidfile=")
            services.append(Service(name, Part.BEAT, command, environment, self.directory, _has_begun))
        return services


def _lives_at(port: int) -> Callable[[FerryProcess], bool]:
    return lambda _: http_get(port, "/livez")[0] == 200


def _has_partitions(service: Service) -> bool:
    return not service.wanted or ": from offset" in service.processes[-1].output()


def _is_ready(process: FerryProcess) -> bool:
    return "ready." in process.output()


def _has_begun(process: FerryProcess) -> bool:
    return "beat: Starting" in process.output()
