"""The observer's process, and what it and the task have told so far: how many messages are in flight now."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil

from ferry_console.local.log_lines import FollowedLog
from tests.chaos.observer import PUSHED
from tests.chaos.routes import QUEUE
from tests.chaos.tasks import EXECUTIONS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PUSHES_FILE = "pushes.tsv"
_ATTACH_SECONDS = 20.0
_ENDINGS = frozenset({"done", "raised"})


class Observer:
    """Runs `tests.chaos.observer`."""

    def __init__(self, socket_path: Path, directory: Path, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.chaos.observer", str(socket_path), QUEUE, str(directory / PUSHES_FILE)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), text=True
        )
        self._cpu_seconds = 0.0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_attached(self, socket_path: Path) -> None:
        """Return once it sees every command of the server that listens on `socket_path` and has just been started."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _ATTACH_SECONDS)[0] or not self._process.stdout.readline():
            raise TimeoutError(f"the observer did not attach to {socket_path} within {_ATTACH_SECONDS:g} s")

    @property
    def cpu_seconds(self) -> float:
        """What it has used, once it is closed."""
        return self._cpu_seconds

    def close(self) -> None:
        """Let it write what it has seen, and end; may be called twice."""
        if self._process.returncode is None:
            times = psutil.Process(self.pid).cpu_times()
            self._cpu_seconds = times.user + times.system
            self._process.communicate(timeout=_ATTACH_SECONDS)


class Progress:
    """Counts from the two files; may be asked from any thread."""

    def __init__(self, directory: Path) -> None:
        self._pushes = FollowedLog(directory / PUSHES_FILE, from_start=True)
        self._executions = FollowedLog(directory / EXECUTIONS_FILE, from_start=True)
        self._lock = threading.Lock()
        self._queued: set[str] = set()
        self._ended: set[str] = set()
        self._open: set[str] = set()
        self.copies = 0
        self.executions = 0

    def in_flight(self) -> int:
        """Ids that were seen queued, and of which the task's file tells no end."""
        with self._lock:
            self._follow()
            return len(self._open)

    @property
    def ended(self) -> int:
        """How many messages have come to an end in a task."""
        return len(self._ended)

    def _follow(self) -> None:
        for line in self._pushes.new_lines():
            fields = line.split("\t")
            if fields[0] == PUSHED:
                self.copies += 1
                task_ids = set(fields[3].split(","))
                self._queued |= task_ids
                self._open |= task_ids - self._ended
        for line in self._executions.new_lines():
            what, _, task_id, *_ = line.split("\t")
            self.executions += what == "started"
            if what in _ENDINGS:
                self._ended.add(task_id)
                self._open.discard(task_id)
