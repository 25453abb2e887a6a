"""The local Kafka and Valkey: ready when they say so, data kept, gone with their parent."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from ferry_console.local.errors import LocalSystemError, PortTaken
from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port, is_listening
from ferry_console.local.service_process import ServiceProcess
from ferry_console.local.valkey import LocalValkey
from tests.support import kafka_records


@pytest.mark.usefixtures("kafka_jars")
def test_kafka_keeps_records_over_a_crash(tmp_path: Path) -> None:
    """A record that Kafka acknowledged is read again after a kill -9 and a restart on the same port."""
    server = LocalKafka(tmp_path)
    try:
        server.start()
        server.wait_ready()
        kafka_records.create_topic(server.bootstrap_servers, "kept", partitions=2)
        kafka_records.produce(server.bootstrap_servers, "kept", [b"a", b"b"], partition=1)
        server.kill()
        assert not is_listening(server.port)
        server.start()
        server.wait_ready()
        read = kafka_records.read_all(server.bootstrap_servers, "kept")
        assert [(record.partition, record.offset, record.value) for record in read] == [(1, 0, b"a"), (1, 1, b"b")]
        assert "kafka.server.BrokerServer" in server.log_path.read_text()
    finally:
        server.stop()


def test_kafka_is_not_mistaken_for_another(kafka: LocalKafka, tmp_path: Path) -> None:
    """A Kafka whose port another one has is not ready, though that other one answers."""
    server = LocalKafka(tmp_path, kafka.port)
    server.start()
    try:
        with pytest.raises(PortTaken, match=str(kafka.port)):
            server.wait_ready(30.0)
    finally:
        server.kill()


def test_valkey_is_not_mistaken_for_another(valkey: LocalValkey, tmp_path: Path) -> None:
    """The same for Valkey."""
    server = LocalValkey(tmp_path, valkey.port)
    server.start()
    with pytest.raises(PortTaken, match=str(valkey.port)):
        server.wait_ready()


@pytest.mark.usefixtures("kafka_jars")
def test_kafka_tells_why_it_cannot_start(tmp_path: Path) -> None:
    """A Kafka that ends at its start is an error with its output and its log's name."""
    server = LocalKafka(tmp_path)
    server.start()
    server.kill()
    (tmp_path / "server.properties").write_text("process.roles=neither\n")
    server.start()
    with pytest.raises(LocalSystemError, match=r"(?s)kafka\.log.*"):
        server.wait_ready(30.0)


def test_valkey_keeps_data_and_never_evicts(tmp_path: Path) -> None:
    """A key is there again after a clean restart, and the options that the ledger needs are on."""
    server = LocalValkey(tmp_path)
    try:
        server.start()
        server.wait_ready()
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            client.set("kept", "yes")
            wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
            assert {name: client.config_get(name)[name] for name in wanted} == wanted
        server.stop()
        assert server.process is not None
        assert server.process.exit_code == 0
        server.start()
        server.wait_ready()
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            assert client.get("kept") == "yes"
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the tether needs Linux")
def test_a_service_ends_with_its_killed_parent(tmp_path: Path) -> None:
    """A server whose parent is killed with SIGKILL ends by itself."""
    port = free_port()
    program = (
        "import sys, time; from pathlib import Path; from ferry_console.local.valkey import LocalValkey\n"
        "server = LocalValkey(Path(sys.argv[1]), int(sys.argv[2])); server.start(); server.wait_ready(); time.sleep(60)"
    )
    parent = ServiceProcess(
        "parent", [sys.executable, "-c", program, str(tmp_path / "data"), str(port)], tmp_path / "parent.log"
    )
    parent.start()
    _wait_until(lambda: is_listening(port))
    (child,) = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    _wait_until(lambda: not is_listening(port))
    _wait_until(lambda: not child.is_running())
    parent.stop()


def _wait_until(condition: Callable[[], bool], timeout_seconds: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
