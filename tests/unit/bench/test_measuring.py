"""Rounds, samples and the settings of what is measured."""

import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from bench import dispatch, ferry, latency, peer, produce, sampling
from bench.costs import LABELS, cost_readings
from bench.failures import MeasurementFailed, TooFewSamples
from bench.figures import Sample
from bench.gates import GATES
from bench.processes import check_running, cpu_seconds, environment, peak_memory_bytes, python
from bench.report import Reading
from bench.rounds import TRIES, Subject, alternate, rate
from ferry_console.local.service_process import ServiceProcess


def silent(_text: str) -> None:
    """Tell nobody."""


def test_rounds_alternate() -> None:
    """Everybody once, then everybody again; progress names who is measured."""
    order: list[str] = []
    told: list[str] = []

    def subject(name: str) -> Subject:
        def measure() -> list[Reading]:
            order.append(name)
            return rate(name, name, float(len(order)))

        return Subject(name, measure)

    measured = alternate([subject("a"), subject("b")], 2, told.append)

    assert order == ["a", "b", "a", "b"]
    assert [(series.key, series.values) for series in measured.series] == [("a", (1.0, 3.0)), ("b", (2.0, 4.0))]
    assert told == [f"round {number} of 2: {name}" for number in (1, 2) for name in "ab"]


def test_what_a_message_costs() -> None:
    """Microseconds of each part between two looks; nothing between them is no measurement."""
    before = dict.fromkeys(LABELS, 1.0) | {"valkey": 2.0}
    after = dict.fromkeys(LABELS, 1.5) | {"valkey": 2.001}
    found = {reading.key: reading.value for reading in cost_readings("batch", before, after, 1_000)}
    assert found == pytest.approx({f"cost_batch_{part}": 500.0 for part in LABELS} | {"cost_batch_valkey": 1.0})
    with pytest.raises(MeasurementFailed, match="more --messages"):
        cost_readings("single", before, after, 0)


def test_who_fails_does_not_stop_the_others() -> None:
    """It is said why, and it is not tried again."""
    tries = itertools.count(1)

    def fail() -> list[Reading]:
        raise MeasurementFailed(f"try {next(tries)}")

    subjects = [Subject("a", fail), Subject("b", lambda: rate("b", "b", 1.0))]
    measured = alternate(subjects, 3, silent)

    assert measured.missing == {"a": "try 1"}
    assert [(series.key, series.values) for series in measured.series] == [("b", (1.0, 1.0, 1.0))]


@pytest.mark.parametrize(("unseen", "measured"), [(0, 2), (TRIES - 1, 2), (TRIES, 0)])
def test_a_round_that_nobody_saw_is_repeated(unseen: int, measured: int) -> None:
    """So often, and no more."""
    left = [unseen]

    def quick() -> list[Reading]:
        if left[0]:
            left[0] -= 1
            raise TooFewSamples("too quick")
        return rate("quick", "quick", 1.0)

    found = alternate([Subject("quick", quick)], 2, silent)
    assert [len(series.values) for series in found.series] == ([measured] if measured else [])
    assert found.missing == ({} if measured else {"quick": "too quick"})
    assert found.facts == ({"measured again": unseen} if measured and unseen else {})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by what is slept, a hundred times as fast where something is waited for."""
    now = itertools.count(0.0, 0.4)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


def counting(*counts: int) -> Callable[[], int]:
    """Tell these counts one after the other, then the last one again and again."""
    return itertools.chain(counts, itertools.repeat(counts[-1])).__next__


@pytest.mark.usefixtures("clock")
def test_samples_are_taken_until_all_is_done() -> None:
    """Only those that tell something new are kept."""
    found = sampling.samples_until(9, counting(0, 0, 4, 4, 9), [], most_seconds=60)

    assert [sample.count for sample in found] == [0, 4, 9]
    assert found == sorted(found, key=lambda sample: sample.at)


@pytest.mark.usefixtures("clock")
def test_a_sample_tells_what_processes_have_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together, of those who are measured and of their control."""
    monkeypatch.setattr(sampling, "cpu_seconds", lambda pid: pid / 10)
    found = sampling.samples_until(1, counting(1), [], most_seconds=60, cpu_of=[3], control=[20, 30])

    assert (found[-1].cpu_seconds, found[-1].control_seconds) == (0.3, 5.0)


@pytest.mark.usefixtures("clock")
def test_a_round_has_an_end() -> None:
    """It counts from the first that is done."""
    counts = [0] * 20 + list(range(1, 100))
    found = sampling.samples_until(1_000, counting(*counts), [], most_seconds=4)

    assert 8 <= found[-1].count <= 12


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("counts", "told"), [((0,), "did not begin"), ((0, 3), "nothing went on")])
def test_a_standstill_is_told(counts: tuple[int, ...], told: str) -> None:
    """Rather than waited for without end."""
    with pytest.raises(MeasurementFailed, match=told):
        sampling.samples_until(9, counting(*counts), [], most_seconds=1_000)


@pytest.mark.usefixtures("clock")
def test_a_machine_short_of_memory_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue in memory grows with what is measured."""
    monkeypatch.setattr(sampling, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(MeasurementFailed, match="fewer --messages"):
        sampling.samples_until(9, counting(0, 1, 2, 3), [], most_seconds=60)


def test_a_process_that_failed_is_named(tmp_path: Path) -> None:
    """With the last it said; one that ended well is no failure."""
    failing = ServiceProcess("peer", python("-c", "import sys; sys.exit('no such broker')"), tmp_path / "log")
    ending = ServiceProcess("other", python("-c", ""), tmp_path / "other")
    for process in (failing, ending):
        process.start()
    while failing.running or ending.running:
        os.sched_yield()

    check_running([ending])
    with pytest.raises(MeasurementFailed, match=r"peer ended with exit code 1:\nno such broker"):
        check_running([ending, failing])


def test_what_a_process_has_used() -> None:
    """Read of a process that surely has used some: this one."""
    used = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) == used:
        sum(range(10_000))

    assert peak_memory_bytes(os.getpid()) > 10 * 1024**2


def test_a_process_gets_no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set doesn't reach it; the code that runs here does."""
    monkeypatch.setenv("CONSUMER_INTAKE_MAX_MESSAGES", "7")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")

    found = environment({"CONSUMER_GROUP": "a"})

    assert "CONSUMER_INTAKE_MAX_MESSAGES" not in found
    assert found["CONSUMER_GROUP"] == "a"
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == ["/somewhere"]


def test_a_setting_that_ferry_does_not_know_is_refused() -> None:
    """Ferry would ignore it, and the figure would be of something else."""
    with pytest.raises(MeasurementFailed, match="CONSUMER_BATCHSIZE"):
        ferry.settings(None, "group", {"CONSUMER_BATCHSIZE": "100"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("messages", "tasks", "batches"),
    [(1_000, 1_000, False), (1_000, 1_003, False), (1_000, 12, True), (1_000, 20, True)],
)
def test_tasks_of_the_right_kind(messages: int, tasks: int, *, batches: bool) -> None:
    """Single tasks are as many as messages, batches far fewer."""
    dispatch.check_tasks(messages, tasks, batches=batches)


@pytest.mark.parametrize(("tasks", "batches"), [(1_000, True), (21, True), (0, True), (999, False), (10, False)])
def test_tasks_of_another_kind(tasks: int, *, batches: bool) -> None:
    """A figure under the wrong name is none."""
    with pytest.raises(MeasurementFailed, match=f"1,000 messages became {tasks:,} tasks"):
        dispatch.check_tasks(1_000, tasks, batches=batches)


def test_who_was_late_once_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its late latencies would be taken for those of the next round."""
    monkeypatch.setattr(latency, "TIMEOUT_SECONDS", 0.0)
    system = latency.System("plain", tmp_path / "latencies", {latency.AT_ONCE: cast("Any", SilentProducer())})
    with pytest.raises(MeasurementFailed, match="0 of 2 tasks ran"):
        system.measure(1_000_000, 2, latency.AT_ONCE)
    system.file.write_text("1.0\n" * 4)
    with pytest.raises(MeasurementFailed, match="earlier round"):
        system.measure(1_000_000, 2, latency.AT_ONCE)


def test_every_gate_of_latency_is_measured() -> None:
    """By the keys of its series."""
    paces = (*latency.SINGLES, *latency.BATCHES)
    measured = {f"{pace.series}_{part}" for pace in paces for part in ("p50", "p99")}
    wanted = {key for gate in GATES if gate.report == latency.NAME for key in (gate.over, gate.under)}
    assert wanted <= measured
    assert len({pace.label for pace in paces}) * 2 == len(measured)


class SilentProducer:
    """Takes messages, and sends none."""

    def produce(self, *_arguments: object) -> None:
        """Take one."""

    def poll(self, _timeout: float) -> None:
        """Nothing comes."""

    def flush(self) -> None:
        """Nothing waits."""


def test_the_stock_workers_command_stands_beside_its_program() -> None:
    """As it is run."""
    code = peer.code_of("raw", "stock")
    assert list(code) == ["bench.peers.raw", "bench.peers.stock", "the stock worker"]
    assert code["the stock worker"].startswith("celery -A bench.peers.stock worker --concurrency=PROCESSES")
    assert "the stock worker" not in peer.code_of("raw")


def test_a_missing_kcat_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MeasurementFailed, match="apt install kcat"):
        produce.kcat_command("127.0.0.1:9", Path("lines"), "topic")


def test_the_command_of_a_python_program() -> None:
    """It runs where the measurement does."""
    assert python("-m", "x") == [sys.executable, "-m", "x"]
    assert Sample(1.0, 2).cpu_seconds == 0.0
