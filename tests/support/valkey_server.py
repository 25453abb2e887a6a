"""A Valkey of a test's own that is killed, paused, rolled back, made a replica: what happens to servers."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_console.local.errors import LocalSystemError
from ferry_console.local.ports import LOOPBACK, free_port
from ferry_console.local.service_process import ServiceProcess
from ferry_console.local.valkey import server_binary

_POLL_SECONDS = 0.01
_START_SECONDS = 15.0

Persistence = Literal["none", "append-only"]
BeforeListening = Callable[[Path], object]


class ValkeyServer:
    """A Valkey on the loopback interface; the port stays the same over all restarts.

    With `persistence="none"` a restart finds nothing. `options` are further lines of its configuration.
    """

    def __init__(
        self, directory: Path, *, persistence: Persistence = "none", options: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.persistence = persistence
        self._directory = directory.absolute()
        self._options = dict(options or {})
        self._snapshots = 0
        self._directory.mkdir(parents=True, exist_ok=True)
        # A socket's path has 107 characters at most, and tests have long names.
        self._socket_directory = Path(tempfile.mkdtemp(prefix="valkey-"))
        self.process = ServiceProcess("valkey", self._command(), self._directory / "valkey.log")

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def unix_socket_path(self) -> Path:
        """Where it listens before its port is open, and afterwards too."""
        return self._socket_directory / "socket"

    @property
    def run_id(self) -> str:
        """The random id of this start: another one proves a restart."""
        return str(self.info("server")["run_id"])

    @property
    def is_stopped(self) -> bool:
        """Whether a SIGSTOP holds its process: state T of /proc/PID/stat."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def client(self) -> redis.Redis:
        """A client on the unix socket: what proxies and ports do doesn't matter to it. Close it."""
        return redis.Redis(unix_socket_path=str(self.unix_socket_path), retry=Retry(NoBackoff(), 0), socket_timeout=5.0)

    def info(self, section: str) -> Mapping[str, Any]:
        """One section of INFO."""
        with self.client() as client:
            found: Any = client.info(section)
        return dict(found)

    def start(self, before_listening: BeforeListening | None = None) -> None:
        """Start it, with its data loaded; the port opens only after `before_listening` has returned.

        `before_listening` gets the path of the unix socket: what it attaches there sees every command from the first.
        """
        self._socket_directory.mkdir(exist_ok=True)
        self.process.start()
        self._ask(lambda client: client.ping())
        if before_listening is not None:
            before_listening(self.unix_socket_path)
        self._ask(lambda client: client.config_set("port", self.port))

    def wait_ready(self, timeout_seconds: float = _START_SECONDS) -> None:
        """Return once it answers on its port; raises `LocalSystemError` if it doesn't."""
        with redis.Redis(host=LOOPBACK, port=self.port, retry=Retry(NoBackoff(), 0), socket_timeout=1.0) as client:
            self._until_it_answers(client, lambda connection: connection.ping(), timeout_seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def stop(self) -> None:
        """End it cleanly, whether it runs, is paused or has ended, and remove its socket."""
        if self.process.running:
            self.go_on()
        self.process.stop()
        shutil.rmtree(self._socket_directory, ignore_errors=True)

    def pause(self) -> None:
        """SIGSTOP, and wait until it holds: connections stay, nobody answers."""
        self._signal(signal.SIGSTOP)
        self._until(lambda: self.is_stopped, "did not stop at SIGSTOP")

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self._until(lambda: not self.is_stopped, "did not go on at SIGCONT")

    def take_snapshot(self) -> Path:
        """Save all data as it is now into a file of its own."""
        self._ask(lambda client: client.save())
        self._snapshots += 1
        kept = self._directory / f"snapshot-{self._snapshots}.rdb"
        # Left in place, a restart without persistence would find it.
        (self._directory / "dump.rdb").rename(kept)
        return kept

    def restore(self, snapshot: Path, before_listening: BeforeListening | None = None) -> None:
        """Kill it, put the data of `snapshot` in the place of its own, start it and wait until it is ready."""
        self.kill()
        data, log = self._directory / "dump.rdb", self._directory / "appendonlydir"
        shutil.rmtree(log, ignore_errors=True)
        if self.persistence == "append-only":
            # With an append-only file a server reads nothing but that: here one with the snapshot as its base.
            log.mkdir()
            data = log / "appendonly.aof.1.base.rdb"
            (log / "appendonly.aof.manifest").write_text(f"file {data.name} seq 1 type b\n")
        shutil.copyfile(snapshot, data)
        self.start(before_listening)
        self.wait_ready()
        if self.persistence == "none":
            data.unlink()

    def _command(self) -> list[str]:
        options = {
            "bind": LOOPBACK,
            "port": "0",
            "unixsocket": str(self.unix_socket_path),
            "dir": str(self._directory),
            "appendonly": "yes" if self.persistence == "append-only" else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            **self._options,
        }
        return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def _ask(self, call: Callable[[redis.Redis], object]) -> None:
        with self.client() as client:
            self._until_it_answers(client, call, _START_SECONDS)

    def _until_it_answers(
        self, client: redis.Redis, call: Callable[[redis.Redis], object], timeout_seconds: float
    ) -> None:
        def answered() -> bool:
            try:
                return bool(call(client))
            except (redis.ConnectionError, redis.TimeoutError):
                return False

        self._until(answered, "does not answer", timeout_seconds)

    def _until(self, condition: Callable[[], bool], what: str, timeout_seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if not self.process.running or time.monotonic() > deadline:
                raise LocalSystemError(f"the test's Valkey {what}:\n{self.process.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.running:
            os.kill(self.process.pid, number)
