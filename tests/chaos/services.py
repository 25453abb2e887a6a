"""Ferry's processes, kept running as an orchestrator does it: what ends is started again, with a fresh log."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.ferry_processes import FerryProcess
from tests.support.processes_of import children_of, kill_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.chaos.effects import Part

_LOOK_SECONDS = 0.1
_POLL_SECONDS = 0.05
#: Celery's pool processes wait up to 30 s at a warm shutdown for results that nobody reads any more.
STOP_GRACE_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class UnexpectedExit:
    """A process that ended though nothing had been done to it."""

    service: str
    pid: int
    code: int | None
    at: float
    log: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A process that was asked to end (SIGTERM), its exit code, and how long that took.

    One that had not ended after `STOP_GRACE_SECONDS` was killed: then its code is -9.
    """

    service: str
    pid: int
    code: int | None
    seconds: float


class Service:
    """One process and its successors."""

    def __init__(
        self,
        name: str,
        part: Part,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        answers: Callable[[FerryProcess], bool],
    ) -> None:
        """`answers` tells whether a process of it has come up; logs go to `directory`/logs."""
        self.name = name
        self.part = part
        self._command = command
        self._environment = environment
        self._directory = directory
        self._answers = answers
        self.processes: list[FerryProcess] = []
        self.wanted = True

    @property
    def pid(self) -> int:
        """Of its present process."""
        return self.processes[-1].pid

    @property
    def running(self) -> bool:
        """Whether it has a process now."""
        return bool(self.processes) and self.processes[-1].running

    @property
    def children(self) -> list[int]:
        """The processes that its present process has started."""
        return children_of(self.pid)

    @property
    def logs(self) -> list[Path]:
        """What its processes wrote, the first one's first."""
        return [process.log_path for process in self.processes]

    def start(self) -> None:
        """Start the next process."""
        log_path = self._directory / "logs" / f"{self.name}.{len(self.processes) + 1}.log"
        process = FerryProcess(
            self.name, self._command, log_path, environment=self._environment, directory=self._directory
        )
        process.start()
        self.processes.append(process)

    def wait_answering(self, other_than: int | None, timeout_seconds: float = 120.0) -> int:
        """Wait until a process other than that one has come up; returns its id."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            process = self.processes[-1] if self.processes else None
            if process and process.running and process.pid != other_than and self._answers(process):
                return process.pid
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"{self.name} did not come up within {timeout_seconds:g} s")


class Keeper:
    """Starts services, and starts again what ends; all from one thread, with which the processes would end."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.services = {service.name: service for service in services}
        self.unexpected: list[UnexpectedExit] = []
        self.stops: list[Stop] = []
        self._touched: set[int] = set()
        self._over = threading.Event()
        self._grace_seconds = STOP_GRACE_SECONDS
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Start what is wanted, and keep it running from now on."""
        self._thread.start()

    def kill(self, service: Service, *, with_children: bool = False) -> int:
        """SIGKILL its process, or its whole session; returns the id of the process, which is gone then."""
        pid = service.pid
        self.touch(pid)
        if with_children:
            service.processes[-1].kill()
        else:
            kill_process(pid)
        return pid

    def touch(self, pid: int) -> None:
        """The end of this process is a fault's doing."""
        self._touched.add(pid)

    def stop(self, service: Service) -> int:
        """SIGTERM, and no successor until `release`; returns the id of the process, which is gone then."""
        with self._lock:
            service.wanted = False
            process = service.processes[-1]
            self.touch(process.pid)
        began = time.monotonic()
        process.stop(STOP_GRACE_SECONDS)
        self._note_stop(service, began)
        return process.pid

    def release(self, service: Service) -> None:
        """Start it, and keep it running again."""
        service.wanted = True

    def abandon(self) -> None:
        """Stop all services at once: nobody wants to know any more."""
        self._grace_seconds = 0.0
        self.close()

    def close(self) -> None:
        """Stop all services, by force where they don't stop by themselves."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for service in self.services.values():
                with self._lock:
                    if service.wanted and not service.running:
                        self._start(service)
        self._stop_all()

    def _stop_all(self) -> None:
        """One SIGTERM each, at the same time: a second one may mean something else."""
        began = time.monotonic()
        running = [service for service in self.services.values() if service.running]
        for service in self.services.values():
            if service.wanted and not service.running:
                self._note_unexpected(service)
        for service in running:
            service.processes[-1].send_signal(signal.SIGTERM)
        while any(service.running for service in running) and time.monotonic() - began < self._grace_seconds:
            for service in [service for service in running if not service.running]:
                running.remove(service)
                self._note_stop(service, began)
            time.sleep(_POLL_SECONDS)
        for service in running:
            service.processes[-1].kill()
            self._note_stop(service, began)

    def _note_stop(self, service: Service, began: float) -> None:
        process = service.processes[-1]
        self.stops.append(Stop(service.name, process.pid, process.exit_code, time.monotonic() - began))

    def _start(self, service: Service) -> None:
        if self._note_unexpected(service):
            # What can't start is not started in a storm.
            time.sleep(1.0)
        service.start()

    def _note_unexpected(self, service: Service) -> bool:
        if not service.processes or service.processes[-1].pid in self._touched:
            return False
        process = service.processes[-1]
        self.unexpected.append(
            UnexpectedExit(service.name, process.pid, process.exit_code, time.time(), process.log_tail())
        )
        return True
