"""What runs in a data folder: one `ferry up` or `ferry demo` at a time, and where its servers listen.

The folder's lock is inherited by every process of the system, so it is free only once all of them are gone, also
when their supervisor was killed.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ferry_console.local.errors import LocalSystemError
from ferry_console.local.ports import LOOPBACK

_STOPPING_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.1
DEFAULT_KAFKA_PORT, DEFAULT_VALKEY_PORT = 9092, 6379


@dataclass(frozen=True)
class Running:
    """A system that runs: who supervises it, its ports, and what its consumer reads and writes."""

    pid: int
    command: str
    kafka_port: int
    valkey_port: int
    http_port: int
    topic: str
    dead_letter_topic: str
    group: str

    @property
    def bootstrap_servers(self) -> str:
        """What Kafka clients connect to."""
        return f"{LOOPBACK}:{self.kafka_port}"

    @property
    def broker_url(self) -> str:
        """The Redis database of Celery's queue and the ledger."""
        return self.database_url(0)

    def database_url(self, number: int) -> str:
        """A Redis database."""
        return f"redis://{LOOPBACK}:{self.valkey_port}/{number}"

    def to_json(self) -> str:
        """The form that is written to the folder."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """Read that form; raises `ValueError` if it is something else."""
        try:
            fields = json.loads(text)
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"not the description of a running system: {error}") from error


class Folder:
    """The data folder of local systems."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "log"
        self._lock_path = self.path / "lock"
        self._description_path = self.path / "running.json"
        self._last_path = self.path / "last.json"

    @contextmanager
    def claimed(self) -> Iterator[int | None]:
        """Own the folder while inside: gives the lock's descriptor, or None if a system runs there already.

        Raises `LocalSystemError` if a system whose supervisor is gone does not end in time.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT)
        try:
            owned = self._lock(descriptor)
            try:
                yield descriptor if owned else None
            finally:
                if owned:
                    self._description_path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def describe(self, running: Running) -> None:
        """Tell others what runs here; the owner of the folder calls it once everything is ready."""
        for path in (self._last_path, self._description_path):
            draft = path.with_suffix(".new")
            draft.write_text(running.to_json())
            draft.replace(path)

    def running(self) -> Running | None:
        """What runs here, None if nothing is ready; only of use to those who do not own the folder."""
        found = _described(self._description_path)
        return found if found is not None and _alive(found.pid) else None

    def last(self) -> Running | None:
        """What runs or ran here last: commands that were printed then hold its ports."""
        return _described(self._last_path)

    def _lock(self, descriptor: int) -> bool:
        """Take the lock, waiting for the leftovers of a killed supervisor; False if a live system holds it."""
        deadline = time.monotonic() + _STOPPING_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.running() is not None:
                    return False
            else:
                return True
            if time.monotonic() > deadline:
                raise LocalSystemError(
                    f"another system is starting or stopping in {self.path}; try again when it is done"
                )
            time.sleep(_POLL_SECONDS)


def _described(path: Path) -> Running | None:
    try:
        return Running.of_json(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
