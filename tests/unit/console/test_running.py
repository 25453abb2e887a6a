"""The data folder's description of what runs in it, and its lock."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.local import ports
from ferry_console.local.running import Folder, Running
from ferry_console.local.start import PlannedSettings, planned

PORTS = st.integers(1, 65_535)
NAMES = st.text(min_size=1)
RUNNING = st.builds(
    Running,
    pid=st.integers(1),
    command=st.sampled_from(["up", "demo"]),
    kafka_port=PORTS,
    valkey_port=PORTS,
    http_port=PORTS,
    topic=NAMES,
    dead_letter_topic=NAMES,
    group=NAMES,
)
HERE = Running(os.getpid(), "up", 9092, 6379, 8080, "messages", "messages.dlq", "ferry")


@given(running=RUNNING)
def test_description_is_read_back(running: Running) -> None:
    """Every description survives being written and read."""
    assert Running.of_json(running.to_json()) == running


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "other": 2}', "1"])
def test_something_else_is_no_description(text: str) -> None:
    """Anything else is a ValueError, so that a broken file counts as nothing running."""
    with pytest.raises(ValueError, match=r".+"):
        Running.of_json(text)


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """While a live system is described in a claimed folder, a second one doesn't get it; afterwards it does."""
    folder = Folder(tmp_path / "data")
    with folder.claimed() as first:
        assert first is not None
        folder.describe(HERE)
        with Folder(tmp_path / "data").claimed() as second:
            assert second is None
        assert folder.running() == HERE
    assert folder.running() is None
    with folder.claimed() as third:
        assert third is not None


def test_a_dead_owner_does_not_count(tmp_path: Path) -> None:
    """A description left by a killed supervisor says nothing, and the folder is free."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = Folder(tmp_path)
    folder.describe(replace(HERE, pid=dead.pid))
    assert folder.running() is None
    with folder.claimed() as lock:
        assert lock is not None


def test_ports_are_kept_where_the_usual_ones_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual ports come first; taken, those of the last time here, so that printed commands stay true."""
    folder = Folder(tmp_path)
    with folder.claimed():
        folder.describe(replace(HERE, kafka_port=1111, valkey_port=2222))
    assert folder.running() is None
    taken: set[int] = set()
    monkeypatch.setattr(ports, "is_free", lambda port: port not in taken)
    settings = PlannedSettings.model_construct()
    first = planned("up", settings, folder)
    assert (first.kafka_port, first.valkey_port) == (9092, 6379)
    taken |= {9092, 6379}
    second = planned("up", settings, folder)
    assert (second.kafka_port, second.valkey_port) == (1111, 2222)
    taken |= {1111, 2222}
    third = planned("up", settings, folder)
    assert not {third.kafka_port, third.valkey_port} & taken
