"""`ferry-producer -` interrupted by a signal or an outage: it ends, its report is true, acknowledged means kept."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from ferry_console.local.kafka import LocalKafka
from ferry_shared.message import Message
from tests.support.clean_environment import clean_environment
from tests.support.kafka_records import end_offsets, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.ferry_processes import FerryProcesses

DELIVERY_TIMEOUT_MS = 3_000
BLOCK_LINES = 5_000
#: So many lines are written before anything happens: more than pipe, reader and queue hold together.
BUSY_LINES = 100_000


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that this test may kill."""
    server = LocalKafka(tmp_path / "kafka")
    server.start()
    server.wait_ready()
    yield server
    server.kill()


class Feeder:
    """`ferry-producer -` and a thread that writes numbered lines as fast as they are taken, at most `lines`."""

    def __init__(self, environment: dict[str, str], directory: Path, lines: int = 1_000_000_000) -> None:
        self._errors = directory / "stderr"
        with self._errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ferry_producer", "-"],
                stdin=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                cwd=directory,
                bufsize=0,
            )
        self._lines = lines
        self._busy = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            for first in range(0, self._lines, BLOCK_LINES):
                block = range(first, min(first + BLOCK_LINES, self._lines))
                self.process.stdin.write(b"".join(b"line %d\n" % line for line in block))
                if first >= BUSY_LINES:
                    self._busy.set()
        self.process.stdin.close()

    def wait_until_busy(self) -> None:
        """Wait until a good part is on its way."""
        assert self._busy.wait(60), self._errors.read_text()

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit code and stderr."""
        try:
            code = self.process.wait(60)
        finally:
            self.process.kill()
            self._thread.join()
        return code, self._errors.read_text()


def feeder_to(kafka: LocalKafka, directory: Path, **settings: str) -> Feeder:
    """A feeder whose producer sends to the default topic of this broker."""
    return Feeder(clean_environment() | {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers} | settings, directory)


@pytest.mark.parametrize(("signal_number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle(
    ferry: FerryProcesses, kafka: LocalKafka, topic: str, signal_number: signal.Signals, expected: int
) -> None:
    """What was read is flushed and counted: exactly the acknowledged messages are there, the first ones, each once."""
    feeder = Feeder(ferry.environment(), ferry.directory)
    feeder.wait_until_busy()
    feeder.process.send_signal(signal_number)
    code, output = feeder.end()
    assert code == expected, output
    count = number(r"([\d,]+) messages acknowledged, 0 failed, ", output)
    assert count > BUSY_LINES / 2
    assert texts(kafka, topic) == Counter(f"line {line}" for line in range(count))


def test_a_whole_input_is_a_success(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """An input that ends is sent to its end: 0, and every line is there once."""
    code, output = Feeder(ferry.environment(), ferry.directory, lines=50_000).end()
    assert code == 0, output
    assert texts(kafka, topic) == Counter(f"line {line}" for line in range(50_000))


def texts(kafka: LocalKafka, topic: str) -> Counter[str]:
    """How often each text is in the topic."""
    records = read_all(kafka.bootstrap_servers, topic)
    return Counter(Message.model_validate_json(record.value or b"").text for record in records)


def number(pattern: str, output: str) -> int:
    """The one number that the pattern finds."""
    [found] = re.findall(pattern, output)
    return int(found.replace(",", ""))


def check_account(kafka: LocalKafka, output: str) -> None:
    """Acknowledged messages are in the topic, the first ones read and each once; nothing unread is there."""
    found = texts(kafka, "messages")
    count = number(r"([\d,]+) messages acknowledged", output)
    failed = number(r"acknowledged, ([\d,]+) failed", output)
    assert count > 0
    assert failed > 0
    assert set(found.values()) == {1}, "idempotence: nothing twice"
    assert count <= found.total() <= count + failed
    assert found.keys() <= {f"line {line}" for line in range(count + failed)}


def test_the_broker_is_killed(own_kafka: LocalKafka, tmp_path: Path) -> None:
    """kill -9 of Kafka in the middle: reading stops, the exit code is 3 and the account true; no storm of log lines."""
    feeder = feeder_to(own_kafka, tmp_path, PRODUCER_DELIVERY_TIMEOUT_MS=str(DELIVERY_TIMEOUT_MS))
    feeder.wait_until_busy()
    own_kafka.kill()
    code, output = feeder.end()
    assert code == 3, output
    assert "Kafka stopped acknowledging: the rest of the input is not read" in output
    assert "no answer within PRODUCER_DELIVERY_TIMEOUT_MS (may be in the topic)" in output
    assert "Connection refused; trying again" in output
    assert len(output.splitlines()) < 10
    own_kafka.start()
    own_kafka.wait_ready()
    check_account(own_kafka, output)


def test_a_signal_while_the_broker_hangs(own_kafka: LocalKafka, tmp_path: Path) -> None:
    """Kafka answers nothing and Ctrl-C comes: 5 seconds for the flush, then each message is given up and told."""
    feeder = feeder_to(own_kafka, tmp_path)
    feeder.wait_until_busy()
    assert own_kafka.process is not None
    broker = psutil.Process(own_kafka.process.pid)
    broker.suspend()
    try:
        feeder.process.send_signal(signal.SIGINT)
        code, output = feeder.end()
    finally:
        broker.resume()
    assert code == 3, output
    assert "giving up on what Kafka has not acknowledged" in output
    check_account(own_kafka, output)


def written(kafka: LocalKafka) -> int:
    """How many records the default topic holds."""
    return sum(end_offsets(kafka.bootstrap_servers, "messages").values())


def test_a_restart_is_survived(own_kafka: LocalKafka, tmp_path: Path) -> None:
    """Kafka killed and started again within the delivery timeout: nothing is lost, nothing is there twice."""
    feeder = feeder_to(own_kafka, tmp_path)
    feeder.wait_until_busy()
    own_kafka.kill()
    own_kafka.start()
    own_kafka.wait_ready()
    before = written(own_kafka)
    while written(own_kafka) <= before + 1_000:
        assert feeder.process.poll() is None, feeder.process.returncode
    feeder.process.send_signal(signal.SIGTERM)
    code, output = feeder.end()
    assert code == 143, output
    count = number(r"([\d,]+) messages acknowledged, 0 failed", output)
    assert texts(own_kafka, "messages") == Counter(f"line {line}" for line in range(count))
