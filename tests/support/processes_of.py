"""Processes by their id: the children of a worker's parent, and stopping and continuing any of them.

Reads Linux' /proc; signals go to one process, never to a group.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.eventually import eventually

_STOPPED = "T"
_ENDED = frozenset({"", "Z", "X"})


class _Status(NamedTuple):
    state: str
    parent: int


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`, zombies left out, oldest first as far as ids tell."""
    found = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    statuses = ((child, _status(child)) for child in sorted(found))
    return [child for child, status in statuses if status.parent == pid and status.state not in _ENDED]


def is_alive(pid: int) -> bool:
    """Tell whether the process exists and has not ended; a stopped one is alive."""
    return _status(pid).state not in _ENDED


def is_stopped(pid: int) -> bool:
    """Tell whether SIGSTOP holds the process."""
    return _status(pid).state == _STOPPED


def kill_process(pid: int) -> None:
    """SIGKILL; returns once the process is gone. Fails if it was gone before: then there was no fault."""
    assert is_alive(pid), f"process {pid} had ended before it was to be killed"
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: is_alive(pid), expected=False)


def stop_process(pid: int) -> None:
    """SIGSTOP; returns once the process stands still."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(pid), expected=True)


def continue_process(pid: int) -> None:
    """SIGCONT; returns once the process runs again."""
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: is_stopped(pid), expected=False)


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Hold processes still for the length of the block; they go on also when the test fails."""
    for pid in pids:
        stop_process(pid)
    try:
        yield
    finally:
        for pid in pids:
            if is_alive(pid):
                continue_process(pid)


def _status(pid: int) -> _Status:
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return _Status("", 0)
    # The name stands in parentheses and may hold anything: the fields follow the last one.
    fields = line.rpartition(")")[2].split()
    return _Status(fields[0], int(fields[1]))
