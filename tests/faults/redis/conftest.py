"""Fixtures of the tests in which Redis fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_system import FaultSystem
from tests.support.ferry_processes import FerryProcesses
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey_server import Persistence, ValkeyServer


@pytest.fixture
def persistence() -> Persistence:
    """What the server keeps over a restart; a test's parameter of this name overrides it."""
    return "append-only"


@pytest.fixture
def system(ferry: FerryProcesses, topic: str, tmp_path: Path, persistence: Persistence) -> Iterator[FaultSystem]:
    """A server of the test's own that runs and is watched; consumers and workers are still to be started."""
    server = ValkeyServer(tmp_path / "valkey", persistence=persistence)
    system = FaultSystem(ferry, topic, server)
    try:
        server.start(before_listening=system.monitor.attach)
        server.wait_ready()
        yield system
    finally:
        ferry.stop_all()
        server.stop()
        system.monitor.close()


@pytest.fixture
def proxy(system: FaultSystem) -> Iterator[TcpProxy]:
    """A proxy in front of the server, for those processes that are sent through it."""
    with TcpProxy(system.server.port) as proxy:
        yield proxy
