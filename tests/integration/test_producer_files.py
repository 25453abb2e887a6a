"""`ferry-producer` with files, rates and accounts, against real Kafka."""

from __future__ import annotations

import gzip
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from ferry_console.local.ports import free_port
from tests.support.eventually import eventually
from tests.support.kafka_records import create_topic, end_offsets, read_all
from tests.support.producer_rate import keep_the_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_console.local.kafka import LocalKafka
    from tests.support.ferry_processes import FerryProcesses

ROUTES = """
from pydantic import BaseModel
from ferry_shared.routes import Route

class Order(BaseModel):
    number: int

routes = [Route("{topic}", Order, "handleOrder")]
"""


def values(kafka: LocalKafka, topic: str) -> list[dict[str, Any]]:
    """The messages of the topic."""
    return [json.loads(record.value or b"") for record in read_all(kafka.bootstrap_servers, topic)]


def test_a_compressed_file_with_keys_and_headers(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Each line is a record with its own key and all headers, and the account is JSON on stdout."""
    create_topic(kafka.bootstrap_servers, topic, partitions=4)
    lines = [json.dumps({"text": "a", "customer": {"id": 10**30 + number % 3}}) for number in range(500)]
    (ferry.directory / "in.gz").write_bytes(gzip.compress("\n".join([*lines, '{"text": "no key"}']).encode()))
    done = ferry.produce(
        "--file", "in.gz", "--key-field", "customer.id", "--header", "a=1", "--header", "a=2", "--json"
    )
    account = json.loads(done.stdout)
    assert done.returncode == account["exit_code"] == 1
    assert (account["acknowledged"], account["invalid"], account["last_line"], account["finished"]) == (
        500,
        1,
        501,
        True,
    )
    assert 0 < account["latency_ms"]["p50"] <= account["latency_ms"]["p99"] <= account["latency_ms"]["max"]
    assert "line 501 is invalid and not sent: customer.id: expected a text or number to be the key" in done.stderr
    records = read_all(kafka.bootstrap_servers, topic)
    assert Counter(record.key for record in records) == {b"%d" % (10**30 + i): 167 - (i == 2) for i in range(3)}
    assert {tuple(record.headers) for record in records} == {(("a", b"1"), ("a", b"2"))}
    assert len({(record.key, record.partition) for record in records}) == 3


def test_a_dry_run_needs_no_kafka(ferry: FerryProcesses) -> None:
    """Every line is checked, and nothing is called acknowledged."""
    ferry.settings["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{free_port()}"
    done = ferry.produce("-", "--dry-run", standard_input=b'a\n{"text": 1}\nb\n')
    assert done.returncode == 1
    assert "line 2 is invalid" in done.stderr
    assert "2 messages valid, nothing sent (--dry-run), 0 failed" in done.stderr


def test_the_rate_is_kept(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """For ten seconds; `make scale` takes a minute."""
    keep_the_rate(ferry, kafka, topic, rate=200, seconds=10)


def test_a_topic_of_a_route_has_the_routes_rules(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Its topic is the default, a line is sent byte for byte, and what the consumer would refuse isn't sent."""
    (ferry.directory / "orders_routes.py").write_text(ROUTES.format(topic=f"{topic}-orders"))
    ferry.settings["FERRY_ROUTES"] = "orders_routes:routes"
    done = ferry.produce("-", standard_input=b'{"number":  1, "x": 1e2}\nhello\n{"number": "seven"}\n')
    assert done.returncode == 1
    assert "line 2 is invalid and not sent: " in done.stderr
    assert "line 3 is invalid and not sent: number: Input should be a valid integer" in done.stderr
    [record] = read_all(kafka.bootstrap_servers, f"{topic}-orders")
    assert record.value == b'{"number":  1, "x": 1e2}'


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGINT]])
@pytest.mark.parametrize("way", ["pipe", "file"])
def test_interrupted_at_any_moment_nothing_is_missing(
    ferry: FerryProcesses, kafka: LocalKafka, topic: str, signals: list[signal.Signals], way: str
) -> None:
    """Acknowledged, undelivered and not yet read are the input, and sending the latter two completes the topic."""
    create_topic(kafka.bootstrap_servers, topic)
    lines = [b"line %d" % number for number in range(400_000)]
    (ferry.directory / "in").write_bytes(b"\n".join(lines))
    # Less than half: the producer is not done before a signal arrives.
    moment = random.randrange(1, len(lines) // 2)
    code, account, rest = interrupted(
        ferry, way, signals, lambda: sum(end_offsets(kafka.bootstrap_servers, topic).values()) >= moment
    )
    left = ferry.directory / "left"
    undelivered = left.read_bytes() if left.exists() else b""
    if way == "file":
        rest = b"\n".join(lines[account["last_line"] :])
    again = undelivered + rest
    assert code in ({130, 143} if not undelivered.count(b"\n") else {3}), account
    assert len(again.split(b"\n")) + account["acknowledged"] == len(lines), "each line is in one place"
    cut = undelivered != b"" and not undelivered.endswith(b"\n")
    assert account["undelivered"] == undelivered.count(b"\n") + cut
    left.unlink(missing_ok=True)
    assert ferry.produce("-", standard_input=again).returncode == 0
    found = Counter(message["text"].encode() for message in values(kafka, topic))
    assert found.keys() == set(lines)
    # What was given up on its way may be in the topic all the same.
    assert found.total() - len(lines) <= account["failed"]


def interrupted(
    ferry: FerryProcesses, way: str, signals: list[signal.Signals], due: Callable[[], bool]
) -> tuple[int, dict[str, Any], bytes]:
    """Exit code, account, and what was left in the pipe, of a producer that gets the signals once they are due."""
    options = ["--file", "in"] if way == "file" else ["-"]
    reading, writing = os.pipe()
    feeder = Thread(target=_feed, args=(writing, (ferry.directory / "in").read_bytes()), daemon=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "ferry_producer", *options, "--json", "--undelivered", "left"],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ferry.environment(),
        cwd=ferry.directory,
    )
    feeder.start()
    try:
        eventually(due, expected=True, timeout_seconds=60.0)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.002)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    rest = bytearray()
    while piece := os.read(reading, 65_536):
        rest += piece
    os.close(reading)
    feeder.join()
    return process.returncode, json.loads(output), bytes(rest)


def _feed(writing: int, content: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
        pipe.write(content)


def test_a_terminal_shows_a_bar(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """With rate, counts and the time left; the log's lines stay whole beside it."""
    create_topic(kafka.bootstrap_servers, topic)
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ferry_producer", "tick", "--count", "1000", "--rate", "200"],
        stderr=terminal,
        env=ferry.environment({"TERM": "xterm", "COLUMNS": "160"}),
        cwd=ferry.directory,
    )
    os.close(terminal)
    shown = bytearray()
    with suppress(OSError):
        while piece := os.read(keyboard, 65_536):
            shown += piece
    os.close(keyboard)
    assert process.wait(30) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"\d+/s  \d+ acknowledged  0 failed  \d+ waiting +0:00:0\d left +0:00:0\d", text), text
    assert "1,000 messages acknowledged, 0 failed, in " in text
