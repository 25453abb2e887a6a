"""What `ferry up` says once everything runs."""

import sys
from pathlib import Path

import pytest

from ferry_console.local.running import Folder, Running
from ferry_console.up import first_message, introduction

RUNNING = Running(1, "up", 9092, 6379, 8080, "messages", "messages.dlq", "shop")
ROUTES = {"FERRY_ROUTES": "orders.routes:routes"}


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))


def pasted(text: str) -> list[str]:
    """The commands for another terminal."""
    return [line.strip() for line in text.partition("another terminal:\n")[2].splitlines()]


def test_the_built_in_message(tmp_path: Path) -> None:
    """A text is all that it needs."""
    text = introduction(RUNNING, Folder(tmp_path), ["messages"], ("hello",), {})
    assert "topic messages, group shop" in text
    assert pasted(text) == [
        "ferry-producer hello",
        "ferry-producer --forever --interval 0.2",
        "ferry status --watch",
        "ferry trace messages-0-0",
    ]


def test_a_message_of_ones_own(tmp_path: Path) -> None:
    """It is typed; the other terminal needs the settings that this one has."""
    text = introduction(RUNNING, Folder(tmp_path), ["orders"], first_message(["orders"]), ROUTES)
    assert "topic orders, group shop" in text
    assert pasted(text) == [
        "FERRY_ROUTES=orders.routes:routes ferry-producer -",
        "FERRY_ROUTES=orders.routes:routes ferry status --watch",
        "FERRY_ROUTES=orders.routes:routes ferry trace orders-0-0",
    ]


def test_several_topics(tmp_path: Path) -> None:
    """The producer must be told which."""
    topics = ["orders", "payments"]
    text = introduction(RUNNING, Folder(tmp_path), topics, first_message(topics), ROUTES)
    assert "topics orders, payments, group shop" in text
    assert pasted(text)[0] == "FERRY_ROUTES=orders.routes:routes ferry-producer --topic orders -"
