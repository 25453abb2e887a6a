"""`ferry demo` and `ferry up`, as a newcomer runs them: the command lines, in an empty folder."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ferry_console.local.ports import is_listening
from ferry_console.local.running import Running
from tests.support.ferry_processes import FerryProcess, FerryProcesses

pytestmark = pytest.mark.usefixtures("kafka_jars")

START_SECONDS = 90.0
READY = r"Ferry is running\."


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[FerryProcesses]:
    """Runs commands in an empty folder, with no setting at all."""
    processes = FerryProcesses(tmp_path, {})
    try:
        yield processes
    finally:
        processes.stop_all()


def counted(output: str) -> dict[str, int]:
    """The counts of the demo's table."""
    rows = re.findall(r"│ (given|sent|done|dead letters|missing|repeated) +│ +([\d,]+) │", output)
    return {name: int(count.replace(",", "")) for name, count in rows}


def up(newcomer: FerryProcesses) -> tuple[FerryProcess, Running]:
    """Start `ferry up` and wait until it is ready."""
    process = newcomer.start("up", "-m", "ferry_console", "up")
    process.wait_for_text(READY, START_SECONDS)
    return process, Running.of_json((newcomer.directory / ".ferry" / "running.json").read_text())


def family(process: FerryProcess) -> list[psutil.Process]:
    """All processes of a system."""
    return psutil.Process(process.pid).children(recursive=True)


def lose_the_worker_log(newcomer: FerryProcesses) -> None:
    """Move the worker's log away, so that what it prints from now on isn't found."""
    log = newcomer.directory / ".ferry" / "log" / "worker.log"
    log.rename(log.with_suffix(".lost"))


def wait_until_gone(processes: list[psutil.Process], timeout_seconds: float = 40.0) -> None:
    """Fail if one of them is still there when time is over."""
    _, alive = psutil.wait_procs(processes, timeout_seconds)
    assert not alive


def end(processes: list[psutil.Process]) -> None:
    """End what is left of them."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_demo_accounts_for_every_message(newcomer: FerryProcesses) -> None:
    """The demo sends, prints, counts and stops everything, whatever a `.env` says, with exit code 0."""
    (newcomer.directory / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=real:9092\nFERRY_TOPIC=orders\n")
    done = newcomer.run("-m", "ferry_console", "demo", "hello", "good world", timeout_seconds=START_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted(done.stdout) == {
        "given": 1_003,
        "sent": 1_003,
        "done": 1_002,
        "dead letters": 1,
        "missing": 0,
        "repeated": 0,
    }
    assert re.search(r"worker +\| .* \[messages-\d-\d+\] hello \(\d+ ms\)", done.stdout)
    assert re.search(r"worker +\| .* \[messages-\d-\d+\] good world \(\d+ ms\)", done.stdout)
    assert re.search(r"worker +\| … and 997 more lines of the file", done.stdout)
    assert re.search(r"consumer +\| .* \[messages-\d-\d+\] dead letter: ", done.stdout)
    assert re.search(r"Paste next:\n  .*ferry up .*\n  .*ferry trace messages-\d-\d+\n  .*ferry-producer ", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    left = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(newcomer.directory)]
    assert [process.pid for process in left] == [os.getpid()]


def test_demo_uses_the_system_that_runs(newcomer: FerryProcesses) -> None:
    """With `ferry up` the demo starts nothing of its own and tells what is missing; Ctrl-C stops all."""
    system, running = up(newcomer)
    first = newcomer.run("-m", "ferry_console", "demo", "hello", timeout_seconds=START_SECONDS)
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"using the system of `ferry up` (process {system.pid})" in first.stdout
    assert counted(first.stdout)["sent"] == 1_002
    lose_the_worker_log(newcomer)
    second = newcomer.run("-m", "ferry_console", "demo", "--timeout", "2", "hello", timeout_seconds=START_SECONDS)
    assert second.returncode == 1
    assert (counted(second.stdout)["done"], counted(second.stdout)["missing"]) == (0, 1_001)
    assert re.search(r"missing: messages-\d-\d+, .* and 991 more", second.stdout)
    again = newcomer.run("-m", "ferry_console", "up")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"`ferry up` (process {system.pid}) already runs" in again.stderr
    children = family(system)
    system.send_signal(signal.SIGINT)
    assert system.wait() == 0
    wait_until_gone(children, 1.0)
    assert not is_listening(running.kafka_port)
    output = system.output()
    assert re.search(r"worker +\| .* hello \(\d+ ms\)", output)
    assert output.index("consumer | ") < output.index("stopping")
    assert output.endswith("everything is stopped, its data is kept\n")


def test_killed_and_crashed(newcomer: FerryProcesses) -> None:
    """A killed `ferry up` takes its processes along and the next one starts; a crash in that one is told."""
    system, _ = up(newcomer)
    everything, services = family(system), psutil.Process(system.pid).children()
    assert len(services) == 5, services
    os.kill(system.pid, signal.SIGKILL)
    try:
        wait_until_gone(services)
    finally:
        # Celery's pool processes end by themselves once their parent is gone, but not within a known time.
        end(everything)
    system, _ = up(newcomer)
    children = family(system)
    (consumer,) = [child for child in children if "ferry_consumer" in child.cmdline()]
    consumer.send_signal(signal.SIGKILL)
    assert system.wait(60.0) == 1
    wait_until_gone(children, 1.0)
    assert "ferry    | consumer ended with signal SIGKILL; stopping everything" in system.output()
