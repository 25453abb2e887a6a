"""`ferry-producer` as a process against real Kafka: exit codes are true, and what is acknowledged is in the topic."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest

from ferry_console.local.ports import free_port
from ferry_shared.message import Message
from tests.support.kafka_records import create_topic, end_offsets, read_all

if TYPE_CHECKING:
    from pathlib import Path

    from ferry_console.local.kafka import LocalKafka
    from tests.support.ferry_processes import FerryProcesses

#: The command must give up within its own limit (set to 1 s here) plus the start of Python and some of a busy machine.
UNREACHABLE_SECONDS = 6.0
#: Between a short and a long input; the queues (10,000 messages) are full in both.
MAX_GROWTH_BYTES = 12 * 1024 * 1024


def sent(kafka: LocalKafka, topic: str) -> list[Message]:
    """The messages of the topic."""
    return [Message.model_validate_json(record.value or b"") for record in read_all(kafka.bootstrap_servers, topic)]


def texts(kafka: LocalKafka, topic: str) -> Counter[str]:
    """How often each text is in the topic."""
    return Counter(message.text for message in sent(kafka, topic))


def acknowledged(stderr: str) -> int:
    """What the closing line says."""
    [number] = re.findall(r"([\d,]+) messages? acknowledged, ", stderr)
    return int(number.replace(",", ""))


def test_arguments(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Each text is a message with id and time; the missing topic is created; stdout stays empty."""
    done = ferry.produce("hello", '{"text": "world", "order": 123456789012345678901234567890}')
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "2 messages acknowledged, 0 failed, in " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    messages = {message.text: message for message in sent(kafka, topic)}
    assert messages.keys() == {"hello", "world"}
    assert messages["hello"].id != messages["world"].id
    assert messages["world"].model_extra == {"order": 123456789012345678901234567890}


def test_default_messages(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Without arguments there is something to see."""
    assert ferry.produce().returncode == 0
    assert "Hello from Ferry" in texts(kafka, topic)


def test_standard_input(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Every line arrives once, in order within its partition; an invalid one is told with its number: exit code 1."""
    create_topic(kafka.bootstrap_servers, topic)
    lines = [b"first", b"", b'{"text": ""}', b"\xff", *(f"line {number}".encode() for number in range(5_000))]
    done = ferry.produce("-", standard_input=b"\r\n".join(lines))
    assert done.returncode == 1
    assert "line 3 is invalid and not sent: text: String should have at least 1 character" in done.stderr
    assert "line 4 is invalid and not sent: not UTF-8 at byte 1" in done.stderr
    assert "5,001 messages acknowledged, 0 failed" in done.stderr
    assert "2 lines invalid and not sent" in done.stderr
    assert [message.text for message in sent(kafka, topic)] == ["first", *(f"line {n}" for n in range(5_000))]


#: murmur2("foobar") in Kafka's own test (org.apache.kafka.common.utils.UtilsTest), as its partitioner uses it.
FOOBAR_PARTITION_OF_8 = (-790_332_482 & 0x7FFF_FFFF) % 8


def test_options(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """--topic wins over the setting; one key leads to one partition, the one that Java clients choose."""
    other = f"{topic}-other"
    create_topic(kafka.bootstrap_servers, other, partitions=8)
    done = ferry.produce("a", "b", "c", "--topic", other, "--key", "foobar", "--acks", "1", "--retries", "2")
    assert done.returncode == 0, done.stderr
    records = read_all(kafka.bootstrap_servers, other)
    assert {(record.key, record.partition) for record in records} == {(b"foobar", FOOBAR_PARTITION_OF_8)}


def test_acks_0_is_not_called_acknowledged(ferry: FerryProcesses) -> None:
    """Kafka confirms nothing with acks=0, and the report says so."""
    done = ferry.produce("a", "--acks", "0")
    assert done.returncode == 0
    assert "1 message handed to Kafka, unconfirmed (acks=0)" in done.stderr
    assert "latency" not in done.stderr


def test_a_refused_message_is_told(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """A message above Kafka's limit fails alone; the others arrive and the exit code is 3."""
    too_large = json.dumps({"text": "a", "more": "x" * 1_100_000})
    done = ferry.produce("-", standard_input=f"before\n{too_large}\nafter\n")
    assert done.returncode == 3
    assert "2 messages acknowledged, 1 failed" in done.stderr
    assert "1 not acknowledged: Broker: Message size too large" in done.stderr
    assert texts(kafka, topic) == Counter({"before": 1, "after": 1})


def test_an_unreachable_kafka(ferry: FerryProcesses) -> None:
    """Exit code 3 within seconds, in one line with address and reason."""
    address = f"127.0.0.1:{free_port()}"
    settings = {"KAFKA_BOOTSTRAP_SERVERS": address, "PRODUCER_CONNECT_TIMEOUT_SECONDS": "1"}
    started = time.monotonic()
    done = ferry.run("-m", "ferry_producer", "hello", settings=settings)
    assert time.monotonic() - started < UNREACHABLE_SECONDS
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"ferry-producer: Kafka at {address} can't be reached within 1 s: "
        f"Connect to ipv4#{address} failed: Connection refused\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_looking_for_kafka(ferry: FerryProcesses, number: signal.Signals, code: int) -> None:
    """Ctrl-C doesn't wait for the connection's time limit, and shows no traceback."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}", "PRODUCER_CONNECT_TIMEOUT_SECONDS": "600"}
    process = ferry.start("producer", "-m", "ferry_producer", "hello", settings=settings)
    handles = psutil.Process(process.pid)
    # Signals are handled from the moment on which the process looks for Kafka.
    process.wait_for(lambda _: len(handles.threads()) > 1)
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait() == code
    assert "Traceback" not in process.output()


def test_forever(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Texts repeat until a signal, which is the normal end: 0, and everything acknowledged is there."""
    process = ferry.start("producer", "-m", "ferry_producer", "a", "b", "--forever", "--interval", "0.01")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (ends := count_of(kafka, topic)) > 10:
        time.sleep(0.05)
    assert ends > 10
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, process.output()
    found = texts(kafka, topic)
    assert found.total() == acknowledged(process.output())
    assert found["a"] - found["b"] in {0, 1}


def count_of(kafka: LocalKafka, topic: str) -> int:
    """How many records the topic holds; 0 while it doesn't exist."""
    return sum(end_offsets(kafka.bootstrap_servers, topic).values())


def test_nobody_reads_stderr(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """`ferry-producer - 2>&1 | true`: the reports go nowhere, the messages still arrive and the code is true."""
    create_topic(kafka.bootstrap_servers, topic)
    source, target = os.pipe()
    os.close(source)
    done = subprocess.run(
        [sys.executable, "-m", "ferry_producer", "-"],
        input=b'{"text": ""}\n' * 3 + b"a\nb\n",
        stdout=target,
        stderr=target,
        env=ferry.environment(),
        cwd=ferry.directory,
        check=False,
        timeout=60,
    )
    os.close(target)
    assert done.returncode == 1
    assert texts(kafka, topic) == Counter(["a", "b"])


def test_closed_standard_input(ferry: FerryProcesses) -> None:
    """`ferry-producer - <&-` is told, not answered with 0."""
    command = f'"{sys.executable}" -m ferry_producer - <&-'
    done = subprocess.run(
        ["bash", "-c", command], env=ferry.environment(), cwd=ferry.directory, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"ferry-producer: standard input can't be read: it is closed\n")


def test_memory_stays_flat(ferry: FerryProcesses, tmp_path: Path) -> None:
    """Ten times the lines take no more memory (an input as large as it likes never fits into it)."""

    def peak_bytes(lines: int) -> int:
        path = tmp_path / str(lines)
        path.write_bytes(b"".join(b"a line of a log file, number %d\n" % line for line in range(lines)))
        code = (
            "import resource, sys; from ferry_producer.cli import main; assert main(['-']) == 0;"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        with path.open("rb") as file:
            output = subprocess.check_output(
                [sys.executable, "-c", code], stdin=file, env=ferry.environment(), cwd=ferry.directory, timeout=120
            )
        return int(output) * 1024

    assert peak_bytes(400_000) - peak_bytes(40_000) < MAX_GROWTH_BYTES
