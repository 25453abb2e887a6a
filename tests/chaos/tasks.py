"""The task of the chaos runs. What it did it appends to a file of its own, whatever Ferry believes.

`CHAOS_DIRECTORY` names the folder. Fields of a line, separated by tabs: what happened, time, task id, delivery tag,
the message's serial, the process, its worker's process. A line is written by one `write` in append mode, so lines of
several processes never mix, and what is written outlives the process.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from pathlib import Path
from typing import Any

from ferry_worker.celery import app
from tests.chaos.messages import Behaviour, ChaosMessage

EXECUTIONS_FILE = "executions.tsv"
DIRECTORY_VARIABLE = "CHAOS_DIRECTORY"
#: Long enough that faults meet it, and less than the soft limit.
SLOW_SECONDS = 3.0
RETRY_SECONDS = 1
HANG_SECONDS = 600


@app.task(name="chaos", bind=True)  # type: ignore[untyped-decorator]
def chaos(self: Any, message: ChaosMessage) -> None:
    """Behave as the message says."""
    request = self.request
    ferry = request.get("ferry")
    # Of a batch each message has its own id, and all have the header and the tag of the batch.
    task = f"{ferry['topic']}-{ferry['partition']}-{ferry['member']}"
    tag = f"{ferry['ledger']}/{task}/{ferry['token']}.{ferry['copy']}"
    copy = f"{request.id}\t{tag}\t{message.serial}"
    _tell("started", copy)
    match message.behaviour:
        case Behaviour.RETRIES if request.retries == 0:
            _tell("asked", copy)
            raise self.retry(countdown=RETRY_SECONDS)
        case Behaviour.RAISES:
            _tell("raised", copy)
            raise ValueError("as the message wishes")
        case Behaviour.SLOW:
            time.sleep(SLOW_SECONDS)
        case Behaviour.EXITS if _first_time(request.id):
            os.kill(os.getpid(), signal.SIGKILL)
        case Behaviour.HANGS if _first_time(request.id):
            # Nothing that Python does is to end it before the hard limit.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            time.sleep(HANG_SECONDS)
    _tell("done", copy)


def _tell(what: str, copy: str) -> None:
    line = f"{what}\t{time.time():.6f}\t{copy}\t{os.getpid()}\t{os.getppid()}\n"
    os.write(_file(os.getpid()), line.encode())


@cache
def _file(_pid: int) -> int:
    path = Path(os.environ[DIRECTORY_VARIABLE]) / EXECUTIONS_FILE
    return os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


def _first_time(task_id: str) -> bool:
    try:
        (Path(os.environ[DIRECTORY_VARIABLE]) / "once" / task_id).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
