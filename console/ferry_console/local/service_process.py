"""One process of the local system: started in its own session, logged to a file, stopped in a bounded time."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ferry_console.local import tether
from ferry_console.local.errors import LocalSystemError

_TAIL_BYTES = 4_000


class ServiceProcess:
    """A child process whose standard output and error are appended to `log_path`.

    It gets a session of its own, so a Ctrl-C in the terminal reaches only the supervisor, which then stops the
    services in order. It ends with its parent (see `tether`), therefore start it from a thread that lives as long.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        """`environment` is the whole environment of the process, `directory` where it runs; both default to ours.

        It and its children keep the file descriptors in `inherited` open.
        """
        self.name = name
        self.command = tuple(command)
        self.log_path = log_path
        self._environment = dict(environment) if environment is not None else None
        self._directory = directory
        self._inherited = tuple(inherited)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; raises `LocalSystemError` before `start`."""
        if self._process is None:
            raise LocalSystemError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code (minus the signal number if a signal ended it), None while it runs or before it starts."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; does nothing if it runs."""
        if self.running:
            return
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", tether.__file__, str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,
                pass_fds=self._inherited,
            )

    def stop(self, grace_seconds: float = 15.0) -> int | None:
        """Ask it to end with SIGTERM, kill it after `grace_seconds`; returns its exit code, None if never started."""
        if self._process is None:
            return None
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(grace_seconds)
        return self.kill()

    def kill(self) -> int | None:
        """End it and every process of its session at once (SIGKILL); returns its exit code."""
        if self._process is None:
            return None
        self.send_kill()
        return self._process.wait()

    def send_kill(self) -> None:
        """Send SIGKILL to every process of its session without waiting: what a signal handler may call."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines of its log."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
            return log.read().decode(errors="replace")


def exit_reason(code: int | None) -> str:
    """An exit code in words; a negative one is the number of the signal that ended the process."""
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
