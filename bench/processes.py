"""The processes under measurement: a clean environment, a log file each, stopped whatever happens."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.failures import MeasurementFailed
from ferry_console.local.service_process import ServiceProcess, exit_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.servers import Servers

ROOT = Path(__file__).parents[1]
STOP_SECONDS = 20.0
_INHERITED = ("PATH", "HOME", "LANG")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """A process' whole environment: its settings and nothing of ours, and the code that runs here."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return inherited | {"PYTHONPATH": os.pathsep.join(filter(None, path))} | dict(settings)


@contextmanager
def running(
    servers: Servers, name: str, command: Sequence[str], settings: Mapping[str, str]
) -> Iterator[ServiceProcess]:
    """Run a command, named by its path, with these settings, until the end of the block."""
    folder = servers.fresh_folder(name)
    process = ServiceProcess(name, command, folder / "log", environment=environment(settings), directory=folder)
    process.start()
    try:
        yield process
    finally:
        process.stop(STOP_SECONDS)
        # A pool's processes outlive their parent if that was killed.
        process.send_kill()


def python(*arguments: str) -> list[str]:
    """The command `python ARGUMENTS...`."""
    return [sys.executable, *arguments]


def check_running(processes: Iterable[ServiceProcess]) -> None:
    """Look whether all are there, or have ended well.

    Raises:
        MeasurementFailed: one has failed; its last lines are in the message.
    """
    for process in processes:
        if process.exit_code:
            reason = exit_reason(process.exit_code)
            raise MeasurementFailed(f"{process.name} ended with {reason}:\n{process.log_tail()}")


def cpu_seconds(pid: int) -> float:
    """What a process, with all its threads, has used of processors so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def peak_memory_bytes(pid: int) -> int:
    """The most resident memory that a process has had so far (`VmHWM` of Linux' `/proc`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise MeasurementFailed(f"/proc/{pid}/status has no VmHWM: this measurement needs Linux")
