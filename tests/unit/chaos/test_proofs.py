"""What proves a fault: each proof is shown to be refused when the fault was none."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ferry_shared.ledger.scripts import script
from tests.chaos.effects import Part
from tests.chaos.faults import kafka_faults, network_faults, process_faults, valkey_faults
from tests.chaos.faults.scene import NotProvenError, Scene
from tests.chaos.kinds import KINDS, Resource
from tests.chaos.plan import Planned
from tests.support.processes_of import is_stopped


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@dataclass
class Meddled(Scene):
    """A scene in which something happens while the fault lasts."""

    meanwhile: Callable[[], object] = field(default=lambda: None)

    def wait(self) -> None:
        """Meddle, and don't wait."""
        self.meanwhile()


def scene(system: object, meanwhile: Callable[[], object] = lambda: None, draw: float = 0.0) -> Meddled:
    """A fault at work on a system that is none."""
    planned = Planned(1, 0.0, KINDS[0], (Resource.WORKER_A,), 1.0, draw)
    return Meddled(system, planned, meanwhile=meanwhile)  # type: ignore[arg-type]


def holding(process: subprocess.Popen[bytes]) -> list[tuple[Callable[[Scene], str], Any]]:
    """The faults that hold a process still, each with a system that has only this one."""
    service = SimpleNamespace(pid=process.pid, part=Part.WORKER, children=[process.pid])
    kafka = SimpleNamespace(process=process, wait_ready=lambda: None)
    return [
        (process_faults.held, SimpleNamespace(service=lambda _: service)),
        (process_faults.child_held, SimpleNamespace(service=lambda _: service)),
        (kafka_faults.held, SimpleNamespace(kafka=kafka)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_what_was_woken_in_between_was_not_held(sleeper: subprocess.Popen[bytes], number: int) -> None:
    """Its state is looked at again right before SIGCONT."""
    fault, system = holding(sleeper)[number]

    assert "state T at both ends" in fault(scene(system))
    with pytest.raises(NotProvenError, match=r"stands? still to the end"):
        fault(scene(system, lambda: _wake(sleeper.pid)))


def test_a_child_that_its_parent_kills_was_held(sleeper: subprocess.Popen[bytes]) -> None:
    """That is what it was held for."""
    system = holding(sleeper)[1][1]

    assert "had been killed by its parent" in process_faults.child_held(scene(system, sleeper.kill))


def _wake(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
    while is_stopped(pid):
        pass


class FakeValkey:
    """A server and its client in one: keys, known scripts, and how often it answered NOSCRIPT."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.snapshot: set[str] = set()
        self.restored_to: set[str] | None = None
        self.run_id = "first"
        self.unknown_scripts = 0
        self.known = [script("dispatch").digest]

    def client(self) -> "FakeValkey":
        """Itself."""
        return self

    def __enter__(self) -> "FakeValkey":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, key: str, _: str) -> None:
        """Write."""
        self.keys.add(key)

    def exists(self, key: str) -> int:
        """Look."""
        return int(key in self.keys)

    def delete(self, *keys: str) -> None:
        """Remove."""
        self.keys -= set(keys)

    def take_snapshot(self) -> None:
        """Keep what there is."""
        self.snapshot = set(self.keys)

    def restore(self, _: object, __: object) -> None:
        """Go back to that, or to something else."""
        self.keys, self.run_id = self.snapshot if self.restored_to is None else self.restored_to, "second"

    def script_exists(self, digest: str) -> list[bool]:
        """Whether it knows a script."""
        return [digest in self.known]

    def info(self, _: str) -> dict[str, Any]:
        """How often it answered NOSCRIPT."""
        return {"errorstat_NOSCRIPT": {"count": self.unknown_scripts}} if self.unknown_scripts else {}


def test_a_restored_snapshot_has_lost_what_came_after_it() -> None:
    """A restart with the latest data is none, nor is one with no data; and the markers are gone then."""
    for restored_to, proven in ((None, True), ({valkey_faults._BEFORE, valkey_faults._AFTER}, False), (set(), False)):
        server = FakeValkey()
        server.restored_to = restored_to
        at_work = scene(SimpleNamespace(valkey=server, watch_valkey=None))
        if proven:
            assert "one from right after it is gone" in valkey_faults.restored(at_work)
        else:
            with pytest.raises(NotProvenError, match="keys from before and after the snapshot"):
                valkey_faults.restored(at_work)
        assert server.keys == set()


class FakeProxy:
    """Cuts a reply at once; the server may have answered NOSCRIPT instead of running the script."""

    def __init__(self, server: FakeValkey, *, unknown: int) -> None:
        self.cuts = 0
        self._server = server
        self._unknown = unknown

    def cut_reply_after(self, _: bytes, then: Callable[[], object]) -> None:
        """Cut."""
        if self._unknown:
            self._unknown -= 1
            self._server.unknown_scripts += 1
        then()
        self.cuts += 1

    def pass_through(self) -> None:
        """Nothing to heal."""


@pytest.mark.parametrize(("unknown", "cuts"), [(0, 1), (2, 3), (99, None)])
def test_a_cut_reply_is_that_of_a_script_that_ran(unknown: int, cuts: int | None) -> None:
    """Where somebody was answered NOSCRIPT meanwhile, it is done again."""
    server = FakeValkey()
    proxy = FakeProxy(server, unknown=unknown)
    at_work = scene(SimpleNamespace(valkey=server, proxy=proxy))

    if cuts is None:
        with pytest.raises(NotProvenError, match="5 times somebody was answered NOSCRIPT"):
            network_faults.cut(at_work)
    else:
        assert "dispatch ran" in network_faults.cut(at_work)
        assert proxy.cuts == cuts


def test_the_draw_tells_which_key_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kind, and the partition among those that have one."""
    monkeypatch.setattr(valkey_faults, "end_offsets", lambda *_: {0: 1, 1: 1, 2: 1, 3: 1})
    monkeypatch.setattr(valkey_faults, "_KEY_SECONDS", 0.05)
    server = FakeValkey()
    for partition in range(4):
        server.keys |= {f"ferry:{{ferry:chaos:{partition}}}:{kind}" for kind in ("head", "inflight", "times")}
    server.keys.add("ferry:{ferry:chaos:2}:state")
    system = SimpleNamespace(kafka=SimpleNamespace(bootstrap_servers=""))

    def drawn(draw: float) -> tuple[int, str]:
        return valkey_faults._drawn_key(scene(system, draw=draw), server)  # type: ignore[arg-type]

    assert [drawn(draw / 20)[0] for draw in range(4)] == [0, 1, 2, 3]
    assert [drawn(0.2 + draw / 20)[1] for draw in range(4)] == [
        f"ferry:{{ferry:chaos:{partition}}}:inflight" for partition in range(4)
    ]
    assert {drawn(draw)[1] for draw in (0.4, 0.5, 0.59)} == {"ferry:{ferry:chaos:2}:state"}
    with pytest.raises(NotProvenError, match="no ledger had the key attention"):
        drawn(0.99)
