"""What beat's schedule came to, written by the harness' own code inside the processes: each run sent, each run done.

Loaded by beats and workers alike (`FERRY_IMPORTS`). Lines of the file, separated by tabs: `sending` right before a run
is published, `ran` when a worker runs it; time, task id, process id.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import signals

from ferry_worker.schedule import STATUS_TASK
from tests.chaos.tasks import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS_FILE = "ticks.tsv"
SENDING, RAN = "sending", "ran"


@dataclass(frozen=True, slots=True)
class Tick:
    """One line: `what` happened to a run of the schedule; `at` is in seconds since 1970."""

    what: str
    at: float
    task_id: str
    pid: int


def read_ticks(lines: Iterable[str]) -> list[Tick]:
    """Read the file, in the order of time."""
    found = []
    for line in lines:
        what, at, task_id, pid = line.rstrip("\n").split("\t")
        found.append(Tick(what, float(at), task_id, int(pid)))
    return sorted(found, key=lambda tick: tick.at)


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def _note_sending(sender: Any = None, headers: Any = None, **_: Any) -> None:
    if sender == STATUS_TASK:
        _tell(SENDING, headers["id"])


@signals.task_prerun.connect  # type: ignore[untyped-decorator]
def _note_running(sender: Any = None, task_id: str = "", **_: Any) -> None:
    if sender is not None and sender.name == STATUS_TASK:
        _tell(RAN, task_id)


def _tell(what: str, task_id: str) -> None:
    os.write(_file(os.getpid()), f"{what}\t{time.time():.6f}\t{task_id}\t{os.getpid()}\n".encode())


@cache
def _file(_pid: int) -> int:
    path = Path(os.environ[DIRECTORY_VARIABLE]) / TICKS_FILE
    return os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
