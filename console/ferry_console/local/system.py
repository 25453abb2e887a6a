"""The whole system on this machine: Kafka, Valkey, consumer, worker and beat, started and stopped in order."""

import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from ferry_console.local.errors import LocalSystemError
from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import LOOPBACK
from ferry_console.local.running import Folder, Running
from ferry_console.local.service_process import ServiceProcess
from ferry_console.local.valkey import LocalValkey

_POLL_SECONDS = 0.05
_READY_TIMEOUT_SECONDS = 60.0
_STOP_GRACE_SECONDS = 20.0
_WORKER_READY = " ready."  # the end of the line with which Celery says that its worker takes tasks
COMPONENTS: Mapping[str, Sequence[str]] = {
    "consumer": ("-m", "ferry_consumer", "run"),
    "worker": ("-m", "celery", "-q", "-A", "ferry_worker", "worker", "--without-mingle", "--without-gossip"),
    "beat": ("-m", "celery", "-q", "-A", "ferry_worker", "beat", "--pidfile="),
}
#: The consumer first, so that nothing new is queued; then who adds tasks, then who runs them.
STOP_ORDER = ("consumer", "beat", "worker")
# What would lead Ferry's processes to other servers than the local ones.
_FOREIGN = ("KAFKA_SASL_", "KAFKA_SSL_", "CELERY_RESULT_BACKEND")


class LocalSystem:
    """Starts everything, tells what has ended, stops everything."""

    def __init__(
        self,
        folder: Folder,
        running: Running,
        environment: Callable[[Running], Mapping[str, str]],
        *,
        lock: int,
    ) -> None:
        """`running` says which ports to use; `environment` gives Ferry's processes theirs (see `local_environment`).

        `lock` is the descriptor of the folder's lock.
        """
        self.running = running
        self._folder = folder
        self.kafka = LocalKafka(folder.path / "kafka", running.kafka_port, inherited=[lock])
        self.valkey = LocalValkey(folder.path / "valkey", running.valkey_port, inherited=[lock])
        self.components = {
            name: ServiceProcess(
                name,
                [sys.executable, *arguments],
                self.log_path(name),
                environment=environment(running),
                inherited=[lock],
            )
            for name, arguments in COMPONENTS.items()
        }

    def log_path(self, component: str) -> Path:
        """Where a component's output goes."""
        return self._folder.logs / f"{component}.log"

    def start(self) -> None:
        """Start everything; raises `LocalSystemError` if a part does not become ready."""
        for name in self.components:
            _set_aside(self.log_path(name))
        self.kafka.start()
        self.valkey.start()
        self.valkey.wait_ready()
        # The worker and beat need Valkey only: they load while Kafka does.
        self.components["worker"].start()
        self.kafka.wait_ready()
        self.components["beat"].start()
        self.components["consumer"].start()
        self._wait_until("consumer", lambda: _answers(self.running.http_port))
        self._wait_until("worker", lambda: _WORKER_READY in self.log_path("worker").read_text(errors="replace"))

    def ended(self) -> ServiceProcess | None:
        """A process that has ended though it should run, if there is one."""
        return next((process for process in self._processes() if not process.running), None)

    def stop(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Stop everything in order; `tell` hears the name of what is being stopped."""
        for name in STOP_ORDER:
            tell(name)
            self.components[name].stop(_STOP_GRACE_SECONDS)
        tell("valkey")
        self.valkey.stop()
        tell("kafka")
        self.kafka.stop()

    def send_kill(self) -> None:
        """Make everything end at once, without waiting."""
        for process in self._processes():
            process.send_kill()

    def _processes(self) -> list[ServiceProcess]:
        servers = [server.process for server in (self.kafka, self.valkey) if server.process is not None]
        return [*servers, *self.components.values()]

    def _wait_until(self, name: str, condition: Callable[[], bool]) -> None:
        process = self.components[name]
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while not condition():
            if not process.running:
                raise LocalSystemError(f"{name} ended with exit code {process.exit_code}:\n{process.log_tail()}")
            if time.monotonic() > deadline:
                raise LocalSystemError(
                    f"{name} is not ready after {_READY_TIMEOUT_SECONDS:.0f} s:\n{process.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)


def local_environment(environment: Mapping[str, str], running: Running, *, results: bool = False) -> dict[str, str]:
    """`environment`, led to the local servers; with `results`, Celery's results go to Valkey's second database.

    A variable that is set and not empty wins over `.env`, so a `.env` for a real cluster doesn't lead there either.
    """
    kept = {name: value for name, value in environment.items() if not name.upper().startswith(_FOREIGN)}
    if results:
        kept["CELERY_RESULT_BACKEND"] = running.database_url(1)
    return kept | {
        "KAFKA_BOOTSTRAP_SERVERS": running.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "plaintext",
        "KAFKA_CLIENT_PROPERTIES": "{}",
        "CELERY_BROKER_URL": running.broker_url,
        "FERRY_LEDGER_URL": running.broker_url,
        "CONSUMER_HTTP_HOST": LOOPBACK,
        "CONSUMER_HTTP_PORT": str(running.http_port),
        "PYTHONUNBUFFERED": "1",
        # Six lines at every start as root; here the worker runs nobody's tasks but the developer's own.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
    }


def _answers(http_port: int) -> bool:
    """Whether the consumer says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{http_port}/readyz", timeout=1.0) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _set_aside(log_path: Path) -> None:
    """Keep one earlier log, so that they do not grow over runs."""
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".log.1"))
