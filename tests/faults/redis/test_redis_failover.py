"""A failover to a replica that lags: what only the old primary had acknowledged is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.eventually import eventually
from tests.support.fault_system import SOON_REDELIVERED, FaultSystem, kill_redis
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey_server import ValkeyServer


@pytest.fixture
def replica(system: FaultSystem, replication: TcpProxy, tmp_path: Path) -> Iterator[ValkeyServer]:
    """A replica of the server that has everything the primary has."""
    replica = ValkeyServer(tmp_path / "replica")
    try:
        replica.start()
        replica.wait_ready()
        with replica.client() as client:
            client.replicaof("127.0.0.1", replication.port)
        eventually(lambda: replica.info("replication")["master_link_status"], "up")
        yield replica
    finally:
        replica.stop()


@pytest.fixture
def replication(system: FaultSystem) -> Iterator[TcpProxy]:
    """The way from the replica to its primary."""
    with TcpProxy(system.server.port) as proxy:
        yield proxy


def test_a_failover_to_a_replica_that_lags(
    system: FaultSystem, proxy: TcpProxy, replication: TcpProxy, replica: ValkeyServer
) -> None:
    """Dispatches, claims and ends that the replica never saw: those messages run again, and no other one."""
    through = {"CELERY_BROKER_URL": system.url_through(proxy)}
    system.consumer(**SOON_REDELIVERED, **through)
    system.worker(**through)
    system.send(300)
    system.wait_until_done(50)
    committed = system.committed()
    replication.drop()
    seen = replica.info("replication")["slave_repl_offset"]
    system.send(100)
    system.wait_until_done(150)
    written = system.server.info("replication")["master_repl_offset"]
    assert written > seen
    kill_redis(system)
    lost = system.at_risk(committed)
    with replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert replica.info("replication")["master_repl_offset"] < written
    fail_over(system, proxy, replica)
    system.send(20)
    system.wait_for_the_end()
    system.assert_only_repeated(lost)


def fail_over(system: FaultSystem, proxy: TcpProxy, replica: ValkeyServer) -> None:
    """The programs' address leads to the replica from now on, which is watched."""
    system.server = replica
    system.monitor.attach(replica.unix_socket_path)
    proxy.target_port = replica.port
    with redis.Redis(port=proxy.port) as client:
        assert client.info("server")["run_id"] == replica.run_id
