"""Fixtures of the worker's unit tests."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ferry_worker.configuration import worker_settings
from ferry_worker.tracking import tracking_of


@pytest.fixture(autouse=True)
def _settings_are_read_again() -> Iterator[None]:
    worker_settings.cache_clear()
    tracking_of.cache_clear()
    yield
    worker_settings.cache_clear()
    tracking_of.cache_clear()


@pytest.fixture
def nobody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to a server has failed."""

    def connect(*_: Any) -> None:
        raise AssertionError("a connection to a server")

    monkeypatch.setattr(socket.socket, "connect", connect)
