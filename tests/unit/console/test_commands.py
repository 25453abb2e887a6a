"""Commands to paste."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.local import commands
from ferry_console.local.running import Running

USUAL = Running(1, "up", 9092, 6379, 8080, "messages", "messages.dlq", "ferry")


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))


def test_usual_ports_need_no_setting() -> None:
    """On the usual ports a command is as short as in the documentation."""
    assert commands.to_kafka(USUAL, "ferry-producer", "hello") == "ferry-producer hello"
    assert commands.to_kafka(USUAL, "ferry-producer", "good world") == 'ferry-producer "good world"'
    assert commands.to_all(USUAL, "ferry", "trace", "messages-0-1") == "ferry trace messages-0-1"


def test_other_ports_are_set() -> None:
    """On other ports the command carries the variables that it needs, and no others."""
    other = replace(USUAL, kafka_port=1234, valkey_port=2345)
    assert commands.to_kafka(other, "ferry-producer", "hello") == (
        "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1234 ferry-producer hello"
    )
    assert commands.to_all(other, "ferry", "trace", "messages-0-1") == (
        "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1234 CELERY_BROKER_URL=redis://127.0.0.1:2345/0 ferry trace messages-0-1"
    )


def test_a_program_outside_path_is_named_with_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an activated environment the command names the program's place, from here if it lies below."""
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", "")
    assert commands.program("ferry") == str(folder / "ferry")
    monkeypatch.chdir(folder.parent)
    assert commands.program("ferry") == f"{folder.name}/ferry"


@given(words=st.lists(st.text(min_size=1).filter(lambda word: "\0" not in word and word not in "<|")))
def test_the_shell_reads_the_same_words(words: list[str]) -> None:
    """Whatever the words are, a shell that is given the line sees them unchanged."""
    assert shlex.split(commands.to_kafka(USUAL, "ferry-producer", *words))[1:] == words
