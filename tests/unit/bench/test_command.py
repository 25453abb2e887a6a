"""The command line of the measurements."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import RedisError

from bench import command, gates
from bench.arguments import SIZES
from bench.failures import MeasurementFailed
from bench.files import write_report
from bench.options import Options
from bench.report import Report, Series
from ferry_console.local.errors import LocalSystemError


def at_goal(gate: gates.Gate) -> dict[str, float]:
    """Values of the gate's series with which it just reaches its goal."""
    return {gate.over: gate.goal * 100, gate.under: 100.0} if gate.under else {gate.over: gate.goal}


def write_all(folder: Path, *, but: str | None = None, missing: dict[str, str] | None = None) -> None:
    """Write reports in which all gates reach their goals, one of them aside; each lacks what is `missing`."""
    values: dict[str, dict[str, float]] = {name: {} for name in command.MEASUREMENTS}
    for gate in gates.GATES:
        values[gate.report] |= at_goal(gate)
    # Series that stand in several gates.
    pairs = (("plain", 100), ("plain", 400), ("batch", 100))
    values["latency"] |= {f"{name}_{rate}_p{part}": 100.0 for name, rate in pairs for part in (50, 99)}
    values["dispatch"] |= {"raw": 100.0, "plain": 1.0, "kombu": 1.0, "ferry_single": 60.0, "ferry_batch": 99.0}
    if but:
        del values["dispatch"][but]
    for name, series in values.items():
        found = tuple(Series(key, key, "x", (value,)) for key, value in series.items())
        write_report(folder, Report(name, found, missing or {}))


def test_all_gates_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 0, and each gate has its row."""
    write_all(tmp_path)

    assert command.main(["gates", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(gates.GATES) + 1
    assert all(line.endswith("goal") for line in lines[1:])


def test_a_gate_that_was_not_measured_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that nothing passes by being left out."""
    write_all(tmp_path, but="kombu")

    assert command.main(["gates", str(tmp_path), "--json"]) == 1
    (found,) = [item for item in json.loads(capsys.readouterr().out) if not item["holds"]]
    assert (found["under"], found["measured"]) == ("kombu", None)


def test_what_was_not_measured_to_the_end_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever failed in the second round has a median of one round."""
    write_all(tmp_path, missing={"kombu's batch": "ended with 1"})

    assert command.main(["gates", str(tmp_path)]) == 1
    assert "bench: not measured: kombu's batch: ended with 1" in capsys.readouterr().err


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    """Not even a gate of what is missing."""
    assert command.main(["gates", str(tmp_path)]) == 1


def test_a_damaged_report_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be said of it."""
    (tmp_path / "memory.json").write_text("[]")

    assert command.main(["gates", str(tmp_path)]) == 2
    assert "memory.json" in capsys.readouterr().err


def give(monkeypatch: pytest.MonkeyPatch, outcome: Report | BaseException) -> list[Options]:
    """Have `dispatch` find that; returns what it is asked for."""
    asked: list[Options] = []

    def run(options: Options) -> Report:
        asked.append(options)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setitem(command.MEASUREMENTS, "dispatch", run)
    return asked


WHOLE = Report(
    "dispatch", (Series("ferry_single", "ferry", "messages/s", (2.0,)), Series("raw", "raw", "messages/s", (4.0,)))
)


def test_a_measurement_is_told_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table, a file and a picture; ratios are told but no verdict, and nothing goes to standard error."""
    asked = give(monkeypatch, WHOLE)

    assert command.main(["dispatch", "--messages", "9", "--output", str(tmp_path / "x")]) == 0
    assert [(options.messages, options.rounds) for options in asked] == [(9, SIZES["dispatch"].rounds)]
    told = capsys.readouterr()
    assert "0.500" in told.out
    assert told.err == ""
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"dispatch.json", "dispatch.svg"}


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The report, with its gates."""
    give(monkeypatch, WHOLE)

    assert command.main(["dispatch", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Report.from_document(found) == WHOLE
    assert {item["report"] for item in found["gates"]} == {"dispatch"}


def test_what_is_missing_is_in_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls it from a script learns of a peer that wasn't there."""
    give(monkeypatch, Report("dispatch", WHOLE.series, {"kombu": "it is not there"}))

    assert command.main(["dispatch"]) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LocalSystemError("no Kafka"), 3),
        (RedisError("gone"), 3),
        (MeasurementFailed("no"), 1),
        (KeyboardInterrupt(), 130),
        (OSError("full"), 2),
    ],
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that can't be started isn't the same as a figure that can't be had."""
    give(monkeypatch, error)

    assert command.main(["dispatch"]) == code


def test_a_signal_lets_it_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends it by an exception, through all that stops a process, with the exit code of that signal."""
    stopped: list[bool] = []

    def run(_options: Options) -> Report:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            stopped.append(True)
        return WHOLE

    monkeypatch.setitem(command.MEASUREMENTS, "dispatch", run)
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        command.main(["dispatch"])
    assert (ended.value.code, stopped, signal.getsignal(signal.SIGTERM)) == (143, [True], before)


@pytest.mark.parametrize("words", [[], ["nothing"], ["dispatch", "--messages", "0"], ["dispatch", "--messages", "x"],
                                   ["dispatch", "--rounds", "-1"], ["gates"], ["latency", "--messages", "5"],
                                   ["dispatch", "--seconds", "0"]])  # fmt: skip
def test_wrong_usage(words: list[str]) -> None:
    """It is told before anything is started."""
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2


def test_every_measurement_has_a_size() -> None:
    """And every size a measurement."""
    assert list(command.MEASUREMENTS) == list(SIZES)


Run = Callable[[Options], Report]


def test_all_stop_at_nothing_but_measure_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gates of all decide over the exit code; one that can't be measured stops none of the others."""
    write_all(tmp_path)
    documents = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in command.MEASUREMENTS}

    def fixed(name: str) -> Run:
        return lambda _options: Report.from_document(documents[name])

    for name in command.MEASUREMENTS:
        monkeypatch.setitem(command.MEASUREMENTS, name, fixed(name))

    assert command.main(["all", "--output", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.json"))) == len(command.MEASUREMENTS)
    documents["dispatch"]["series"] = []
    assert command.main(["all"]) == 1

    def impossible(_options: Options) -> Report:
        raise MeasurementFailed("not here")

    monkeypatch.setitem(command.MEASUREMENTS, "dispatch", impossible)
    capsys.readouterr()
    assert command.main(["all", "--output", str(tmp_path / "others")]) == 1
    assert "bench: dispatch: not here" in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "others").glob("*.json")} == set(command.MEASUREMENTS) - {"dispatch"}
