"""`ferry console` as a process, on a real Valkey: what it tells, whom it lets in, what it costs, how it ends."""

import contextlib
import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ferry_shared.ledger.keys import LedgerKeys, status_key
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.ledger_probe import LedgerProbe

PARTITIONS, IN_FLIGHT, BACKLOG = 4, 10_000, 1_000_000
#: The whole process, with the client's and the server's threads.
MOST_OF_A_CORE = 0.05


@pytest.fixture
def processes(tmp_path: Path, redis_url: str, group: str) -> Iterator[FerryProcesses]:
    """Starts the command; there is no Kafka."""
    started = FerryProcesses(tmp_path, {"CELERY_BROKER_URL": redis_url, "CONSUMER_GROUP": group})
    try:
        yield started
    finally:
        started.stop_all()


@pytest.fixture
def ledger(redis_url: str, group: str, topic: str) -> Iterator[LedgerProbe]:
    """The group's ledgers."""
    with LedgerProbe(redis_url, group, topic) as probe:
        yield probe


def serve(processes: FerryProcesses, *arguments: str) -> tuple[FerryProcess, int, str]:
    """Start it; returns the process, its port, and the link that it told."""
    process = processes.start("console", "-m", "ferry_console", "console", "--port", "0", *arguments)
    told = process.wait_for_text(r"the page is at (http://\S+) until Ctrl-C")
    link = told.split()[4]
    found = re.search(r":(\d+)", link.removeprefix("http:"))
    assert found
    return process, int(found[1]), link


def answered(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Ask once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Listener(threading.Thread):
    """A browser that reads the events; `looks` are the documents that it was told."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.looks: list[Any] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", "/events")
        self._answer = self._connection.getresponse()
        self.start()

    def run(self) -> None:
        """Until the server ends it, or `leave`."""
        name = ""
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while raw := self._answer.readline():
                line = raw.decode()
                if line.startswith("event: "):
                    name = line.split()[1]
                elif line.startswith("data: ") and name == "look":
                    self.looks.append(json.loads(line.removeprefix("data: ")))

    def leave(self) -> None:
        """Close the connection; the answer holds on to its socket."""
        self._connection.close()
        self._answer.close()


def make_busy(ledger: LedgerProbe) -> None:
    """Partitions with as much in flight as is allowed, and a million messages behind them."""
    for number in range(PARTITIONS):
        ledger.place = TopicPartition(ledger.place.topic, number)
        ledger.keys, ledger.position = LedgerKeys.of("", ledger.group, ledger.place), 0
        ledger.own()
        for first in range(0, IN_FLIGHT, 1_000):
            ledger.dispatch([str(offset) for offset in range(first, first + 1_000)])
        word = PartitionStatus(
            ledger.now_ms(), ledger.place.topic, number, "host:1", IN_FLIGHT + BACKLOG // PARTITIONS, 0, IN_FLIGHT,
            IN_FLIGHT, 0, 0, 0, 0, None,
        )  # fmt: skip
        ledger.client.hset(status_key("", ledger.group), word.field, word.to_json())


def test_what_it_costs(processes: FerryProcesses, ledger: LedgerProbe) -> None:
    """A million messages behind, three browsers: less than a twentieth of a core; without a browser next to nothing."""
    make_busy(ledger)
    process, port, _ = serve(processes)
    listeners = [Listener(port) for _ in range(3)]
    eventually(lambda: all(len(listener.looks) >= 2 for listener in listeners), True)
    busy, looks = _share_of_a_core(process, 10.0), len(listeners[0].looks)
    totals = listeners[0].looks[-1]["status"]["totals"]
    assert totals["backlog"] == BACKLOG + PARTITIONS * IN_FLIGHT
    assert looks >= 5, "it goes on looking"
    assert busy < MOST_OF_A_CORE, f"{busy:.1%} of a core"
    for listener in listeners:
        listener.leave()
    time.sleep(2)
    idle = _share_of_a_core(process, 5.0)
    assert idle < 0.01, f"{idle:.1%} of a core"
    commands = _commands(ledger)
    time.sleep(3)
    assert _commands(ledger) - commands <= 2, "only this test asks Redis"


def _share_of_a_core(process: FerryProcess, seconds: float) -> float:
    watched = psutil.Process(process.pid)
    before, began = watched.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = watched.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


def _commands(ledger: LedgerProbe) -> int:
    told: Any = ledger.client.info("stats")
    return int(told["total_commands_processed"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once(processes: FerryProcesses, number: signal.Signals) -> None:
    """Though a browser looks; without a traceback."""
    process, port, _ = serve(processes)
    listener = Listener(port)
    began = time.monotonic()
    process.send_signal(number)
    code = process.wait()
    assert time.monotonic() - began < 5
    assert code == (130 if number is signal.SIGINT else -signal.SIGTERM)
    assert len(process.lines()) == 1, process.output()
    listener.join(5)
    assert not listener.is_alive(), "the server has ended the stream"
    listener.leave()


def test_without_a_token_it_serves_this_machine_alone(processes: FerryProcesses) -> None:
    """And whoever asks by a name that it wasn't given is refused."""
    process, port, link = serve(processes)
    assert link == f"http://127.0.0.1:{port}"
    assert answered(port, "/")[0] == 200
    assert answered(port, "/", host="evil.example")[0] == 400
    addresses = {at.laddr.ip for at in psutil.Process(process.pid).net_connections() if at.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


def test_for_others_it_makes_a_token(processes: FerryProcesses) -> None:
    """A new one at each start, in the link that it prints."""
    links = []
    for _ in range(2):
        _, port, link = serve(processes, "--host", "0.0.0.0", "--allowed-host", "ferry.example")  # noqa: S104
        token = link.partition("/?")[2]
        assert answered(port, "/")[0] == 401
        assert answered(port, f"/?{token}")[0] == 200
        assert answered(port, f"/?{token}", host="ferry.example:80")[0] == 200
        assert answered(port, f"/?{token}", host="evil.example")[0] == 400
        links.append(token)
    assert links[0] != links[1]
    assert all(re.fullmatch(r"token=[\w-]{43}", token) for token in links)


def test_a_token_of_a_file_is_not_shown(processes: FerryProcesses, tmp_path: Path) -> None:
    """It is asked for on every address, also on this machine's own."""
    file = tmp_path / "token"
    file.write_text("a-token-of-the-test\n")
    process, port, _ = serve(processes, "--token-file", str(file))
    assert answered(port, "/events")[0] == 401
    assert answered(port, "/?token=a-token-of-the-test")[0] == 200
    assert "a-token-of-the-test" not in process.output()
