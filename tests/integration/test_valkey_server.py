"""The fault tests' own Valkey does what it says."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.valkey_server import ValkeyServer


@pytest.fixture(params=["none", "append-only"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValkeyServer]:
    """A running server, with and without append-only file."""
    server = ValkeyServer(tmp_path / "valkey", persistence=request.param)
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()


def _keys(server: ValkeyServer) -> set[str]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found: Any = client.keys()
        return set(found)


def _set(server: ValkeyServer, key: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(key, "x")


def test_a_killed_server_remembers_what_its_persistence_promises(server: ValkeyServer) -> None:
    """The port stays, the run id changes; with an append-only file the data is there again, without it is not."""
    _set(server, "kept")
    before = server.run_id
    server.kill()
    assert server.process.exit_code == -signal.SIGKILL
    server.start()
    server.wait_ready()
    assert server.run_id != before
    assert _keys(server) == ({"kept"} if server.persistence == "append-only" else set())


def test_a_snapshot_brings_the_past_back(server: ValkeyServer) -> None:
    """What came after the snapshot is gone; and a later kill finds what the persistence promises, not the snapshot."""
    _set(server, "before")
    snapshot = server.take_snapshot()
    _set(server, "after")
    server.restore(snapshot)
    assert _keys(server) == {"before"}
    _set(server, "later")
    server.kill()
    server.start()
    assert _keys(server) == ({"before", "later"} if server.persistence == "append-only" else set())


def test_a_paused_server_answers_later(server: ValkeyServer) -> None:
    """A call that was sent meanwhile is answered when it goes on; a paused one can be stopped."""
    with redis.Redis.from_url(server.url, socket_timeout=0.3) as client:
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.go_on()
        assert client.ping() is True
    server.pause()
    os.kill(server.process.pid, 0)
    server.stop()
    assert server.process.exit_code == 0


def test_the_port_opens_after_the_callback(server: ValkeyServer) -> None:
    """Until the callback returns, only the unix socket answers."""
    server.kill()
    seen: list[bool] = []

    def attach(path: Path) -> None:
        with redis.Redis(unix_socket_path=str(path)) as client:
            seen.append(client.ping() is True)
        with pytest.raises(redis.ConnectionError):
            _keys(server)

    server.start(before_listening=attach)
    assert seen == [True]
    assert _keys(server) is not None
