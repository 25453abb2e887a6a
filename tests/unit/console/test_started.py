"""Starting a system: planned again when a port is taken meanwhile, stopped whatever happens."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from ferry_console.local import kafka_jars, start
from ferry_console.local.errors import LocalSystemError, PortTaken
from ferry_console.local.running import Folder, Running


class FakeSystem:
    """Stands for the system; `outcomes` says what each start in turn raises, `events` what happened."""

    outcomes: list[Exception | None]
    events: list[str]

    def __init__(self, _folder: Folder, running: Running, environment: start.Environment, *, lock: int) -> None:
        assert lock == 7
        self.running = running
        self.environment = environment(running)

    def start(self) -> None:
        """Raise what comes next."""
        self.events.append(f"start {self.running.kafka_port} {self.environment['port']}")
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def stop(self) -> None:
        """Note it."""
        self.events.append(f"stop {self.running.kafka_port}")

    def send_kill(self) -> None:
        """Note it."""
        self.events.append(f"kill {self.running.kafka_port}")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the fake system has done."""
    FakeSystem.events = []
    monkeypatch.setattr(start, "LocalSystem", FakeSystem)
    monkeypatch.setattr(kafka_jars, "class_path", lambda before_download: before_download())
    return FakeSystem.events


def begin(folder: Folder, *outcomes: Exception | None) -> None:
    """Start with these outcomes; each plan has the next port. Inside, note what is described."""
    FakeSystem.outcomes = list(outcomes)
    ports = iter(range(1, 9))

    def plan() -> Running:
        return Running(os.getpid(), "up", next(ports), 2, 3, "messages", "messages.dlq", "ferry")

    def environment(running: Running) -> Mapping[str, str]:
        return {"port": str(running.kafka_port)}

    with start.started(folder, plan, environment, 7) as system:
        described = folder.running()
        FakeSystem.events.append(f"ready {described.kafka_port if described else None} {system.running.kafka_port}")


def test_started_and_stopped(events: list[str], tmp_path: Path) -> None:
    """A system is described when it is ready, and stopped at the end."""
    begin(Folder(tmp_path), None)
    assert events == ["start 1 1", "ready 1 1", "stop 1"]


def test_a_taken_port_is_planned_again(events: list[str], tmp_path: Path) -> None:
    """The first system is stopped, the second one has other ports."""
    begin(Folder(tmp_path), PortTaken("port 1"), None)
    assert events == ["start 1 1", "stop 1", "start 2 2", "ready 2 2", "stop 2"]


def test_what_cannot_start_is_stopped(events: list[str], tmp_path: Path) -> None:
    """An error stops what has started, and is raised."""
    with pytest.raises(LocalSystemError, match="no memory"):
        begin(Folder(tmp_path), LocalSystemError("no memory"))
    assert events == ["start 1 1", "stop 1"]


def test_signals(events: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first signal stops in order, one that comes while stopping kills, and handlers are put back."""
    before = signal.getsignal(signal.SIGTERM)

    def stop_slowly(system: FakeSystem) -> None:
        system.events.append("stopping")
        signal.raise_signal(signal.SIGTERM)
        system.events.append("stopped")

    monkeypatch.setattr(FakeSystem, "stop", stop_slowly)
    monkeypatch.setattr(FakeSystem, "start", lambda _system: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        begin(Folder(tmp_path))
    assert events == ["stopping", "kill 1", "stopped"]
    assert signal.getsignal(signal.SIGTERM) is before
