"""A task that does what its message says, and writes when it starts and ends into the file that `ACTING_EVENTS` names.

What is done is counted from that file alone: never from the ledger, and never from Ferry's own numbers.
"""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ferry_worker.celery import app
from tests.support.acting_routes import TASK, Act

#: More than a fresh worker process has, less than what a hungry task asks for.
MEMORY_LIMIT_BYTES = 1 << 30
_POLL_SECONDS = 0.02


def _task(function: Callable[[Any, Act], None]) -> Any:
    return app.task(name=TASK, bind=True)(function)


def _tell(event: str) -> None:
    """One write in append mode is never torn apart by another process's."""
    file = os.open(os.environ["ACTING_EVENTS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, f"{event}\n".encode())
    finally:
        os.close(file)


def _wait() -> None:
    released = Path(os.environ["ACTING_EVENTS"]).with_name("release")
    while not released.exists():
        time.sleep(_POLL_SECONDS)


def _fail() -> None:
    raise ValueError("as its message says")


def _wait_and_fail() -> None:
    _wait()
    _fail()


def _hang() -> None:
    """Nothing that Python does ends it: only the hard limit."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    time.sleep(600)


def _be_hungry() -> None:
    """Ask for more memory than the process may have."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, before[1]))
    try:
        bytearray(2 * MEMORY_LIMIT_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


_grown: list[bytes] = []

_ACTS: dict[str, Callable[[], object]] = {
    "return": lambda: None,
    "wait": _wait,
    "raise": _fail,
    "wait_and_raise": _wait_and_fail,
    "exit": lambda: os._exit(3),
    "hang": _hang,
    "segfault": lambda: ctypes.string_at(0),
    "hungry": _be_hungry,
    # What the kernel's out-of-memory killer does.
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "grow": lambda: _grown.append(os.urandom(64 << 20)),
}


@_task
def act(self: Any, message: Act) -> None:
    """Write, act, write."""
    _tell(f"start {self.request.id} {os.getpid()}")
    time.sleep(message.seconds)
    _ACTS[message.act]()
    _tell(f"done {self.request.id} {os.getpid()}")
