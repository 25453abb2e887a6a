"""`ferry drain` on a real Valkey: it pauses, and waits until nothing is in flight and all is committed."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ferry_console.cli import main
from ferry_console.operating import drain_command
from ferry_shared.ledger.keys import status_key
from ferry_shared.ledger.pauses import Pause, pause, read_pauses
from ferry_shared.status import PartitionStatus
from tests.support.clean_environment import clean_environment
from tests.support.ledger_probe import LedgerProbe, wait_until
from tests.support.terminal import Terminal
from tests.support.valkey_server import ValkeyServer

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, ledger: LedgerProbe, redis_url: str) -> None:
    """The command finds this test's Valkey and group, and looks often."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("CONSUMER_GROUP", ledger.group)
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.setattr(drain_command, "LOOK_EVERY_SECONDS", 0.01)


def say(ledger: LedgerProbe, paused: str | None = None) -> None:
    """The consumer's word about the partition, now."""
    told = PartitionStatus(ledger.now_ms(), *ledger.place, "host:1", 9, 0, 9, len(ledger.members()), 1, 0, 0, 0, paused)
    ledger.client.hset(status_key("", ledger.group), told.field, told.to_json())


def paused(ledger: LedgerProbe) -> dict[str, Pause]:
    """What is paused."""
    return read_pauses(ledger.client, "", ledger.group)


@contextmanager
def meanwhile(
    ledger: LedgerProbe, redis_url: str, *steps: str, then: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """While the command runs: once the topic is paused, a consumer and a worker take these steps, and `then`."""
    problems: list[BaseException] = []

    def act() -> None:
        try:
            with LedgerProbe(redis_url, ledger.group, ledger.place.topic) as other:
                other.ownership, other.position = ledger.ownership, ledger.position
                wait_until(lambda: bool(paused(other)))
                for step in steps:
                    take(other, step)
                then()
        except BaseException as error:  # noqa: BLE001 - it is raised where the test sees it
            problems.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    if problems:
        raise problems[0]


def take(ledger: LedgerProbe, step: str) -> None:
    """One step of a consumer or a worker."""
    if step == "hold":
        say(ledger, "operator")
    elif step == "commit":
        assert ledger.committed(ledger.position)
    elif step == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
    elif step.startswith("done"):
        member = step.removeprefix("done ")
        assert ledger.claim(member).verdict == "run"
        assert ledger.outcome("done", member) == "recorded"
    else:
        raise AssertionError(step)
    # Between two looks, so that each state is seen.
    threading.Event().wait(0.05)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and both outputs."""
    code = main(["drain", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_it_waits_for_tasks_commit_and_consumer(
    ledger: LedgerProbe, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In whatever order; it says who drained what, and how it goes on, and leaves it paused."""
    ledger.own()
    ledger.dispatch(["0", "1", "2"])
    say(ledger)
    with meanwhile(ledger, redis_url, "done 1", "hold", "done 0", "done 2", "commit"):
        code, out, err = run(capsys, "--reason", "an upgrade", "--timeout", "30")
    assert code == 0, err
    topic = ledger.place.topic
    assert re.fullmatch(
        rf"{TIME} alice@\S+ drained {topic} in \d\.\d s: nothing is in flight, all is committed; "
        rf"to go on: ferry resume {topic}\n",
        out,
    )
    assert re.match(rf"ferry: {topic} paused by alice@\S+ since {TIME}: drain: an upgrade\n", err)
    assert paused(ledger)[topic].why == "drain: an upgrade"
    assert ledger.members() == []


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (("hold", "done 0"), r"1 in flight, the oldest \S+-0-1@\S+ for \d\.\d s"),
        (("hold", "done 0", "done 1"), "done, and 2 offsets not yet committed"),
        (("done 0", "done 1", "commit"), "its consumer has not yet said that it holds still"),
    ],
)
def test_what_is_missing_is_told_when_the_time_is_over(
    ledger: LedgerProbe,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    steps: tuple[str, ...],
    left: str,
) -> None:
    """Exit code 1; it stays paused."""
    # Its time is over when all steps are taken, however long they take.
    moments = [0.0]
    monkeypatch.setattr(drain_command, "time", SimpleNamespace(monotonic=lambda: moments[-1], sleep=time.sleep))
    ledger.own()
    ledger.dispatch(["0", "1"])
    say(ledger)
    with meanwhile(ledger, redis_url, *steps, then=lambda: moments.append(0.8)):
        code, out, err = run(capsys, "--timeout", "0.8")
    assert (code, out) == (1, "")
    assert re.search(rf"ferry: not drained within 0\.\d s: \d in flight\nferry: {ledger.place}: {left}\n", err), err
    assert f"still paused: {ledger.place.topic}; " in err
    assert f"to go on: ferry resume {ledger.place.topic}" in err
    assert list(paused(ledger)) == [ledger.place.topic]


def test_ctrl_c_leaves_it_paused_and_says_so(
    ledger: LedgerProbe, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, with what was in flight; as JSON too."""
    ledger.own()
    ledger.dispatch(["0"])
    with meanwhile(ledger, redis_url, "hold", "interrupt"):
        code, out, err = run(capsys)
    assert (code, out) == (130, "")
    assert re.search(r"interrupted after 0\.\d s: 1 in flight\n", err)
    assert f"still paused: {ledger.place.topic}" in err
    assert list(paused(ledger)) == [ledger.place.topic]


def test_machines_learn_of_ctrl_c_too(ledger: LedgerProbe, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One object, whatever comes of it."""
    ledger.own()
    ledger.dispatch(["0"])
    with meanwhile(ledger, redis_url, "hold", "interrupt"):
        code, out, _ = run(capsys, "--json")
    told = json.loads(out)
    assert (code, told["result"], told["in_flight"], told["targets"][0]["changed"]) == (130, "interrupted", 1, True)


def test_one_partition_is_drained_alone(
    ledger: LedgerProbe, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others go on, and are not waited for."""
    ledger.own()
    ledger.dispatch(["0"])
    say(ledger)
    other = f"{ledger.place.topic}:1"
    code, out, err = run(capsys, other)
    assert (code, list(paused(ledger))) == (0, [other])
    assert f"drained {other} in" in out
    assert "knows partition 1" in err


def test_a_pause_of_somebody_else_stays_theirs(
    ledger: LedgerProbe, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told, counts as paused since then, and isn't named as to be resumed."""
    ledger.own()
    say(ledger, "operator")
    topic = ledger.place.topic
    pause(ledger.client, "", ledger.group, topic, Pause("bob@host", 1_000, "mine"))
    code, out, err = run(capsys, topic, f"{topic}:7")
    assert code == 0
    assert f"{topic} is paused already by bob@host since 1970-01-01T00:00:01.000Z: mine" in err
    assert out.endswith(f"to go on: ferry resume {topic}:7\n")
    assert paused(ledger)[topic].why == "mine"


def test_a_group_that_nobody_consumes(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in flight and all committed: drained; else it is told that nobody makes retries and commits."""
    ledger.own()
    assert run(capsys)[0] == 0
    ledger.dispatch(["0"])
    code, _, err = run(capsys, "--timeout", "0.1")
    assert code == 1
    assert "nobody consumes it, so no retry, dead letter or commit of it is made: start ferry-consumer run" in err


def test_a_group_of_which_nothing_is_known(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and what could be wrong; nothing is paused."""
    code, out, err = run(capsys)
    assert (code, out, paused(ledger)) == (1, "", {})
    assert f"the group {ledger.group} has no ledger here" in err


def test_a_dry_run_changes_nothing(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be paused, and what is in flight."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    before = ledger.dump()
    code, out, err = run(capsys, "--dry-run")
    told = f"would pause {ledger.place.topic}, and wait until nothing is in flight; now there are 2 in flight\n"
    assert (code, out, err) == (0, told, "")
    document: dict[str, Any] = json.loads(run(capsys, "--dry-run", "--json")[1])
    assert (document["dry_run"], document["in_flight"], len(document["left"])) == (True, 2, 1)
    assert ledger.dump() == before


def test_without_redis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    code, _, err = run(capsys)
    assert code == 3
    assert "CELERY_BROKER_URL" in err


def test_on_a_terminal_a_bar_shows_how_far_it_is(ledger: LedgerProbe, redis_url: str) -> None:
    """In flight, rate and time left, in one line that is gone at the end."""
    ledger.own()
    ledger.dispatch([str(number) for number in range(40)])
    environment = clean_environment() | {"CELERY_BROKER_URL": redis_url, "CONSUMER_GROUP": ledger.group}
    with Terminal([sys.executable, "-m", "ferry_console", "drain"], environment) as terminal:
        terminal.wait_for("40 in flight, 0/s")
        for number in range(30):
            ledger.claim(str(number))
            ledger.outcome("done", str(number))
        say(ledger, "operator")
        terminal.wait_for(r"━ 10 in flight, \d+/s, \d+\.\d s left 0:00:\d\d")
        for number in range(30, 40):
            ledger.claim(str(number))
            ledger.outcome("done", str(number))
        terminal.wait_for("waiting for the commit")
        ledger.committed(40)
        assert terminal.end() == 0
    assert terminal.text.splitlines()[-1].endswith(f"to go on: ferry resume {ledger.place.topic}")
    assert terminal.shown.count(b"\x1b[?25l") == terminal.shown.count(b"\x1b[?25h") == 1, "the cursor is back"


def test_when_redis_goes_away_it_goes_on_waiting(
    monkeypatch: pytest.MonkeyPatch, group: str, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until the time is over: exit code 3, with what was in flight before."""
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    server.wait_ready()
    try:
        monkeypatch.setenv("CELERY_BROKER_URL", server.url)
        with LedgerProbe(server.url, group, topic) as ledger:
            ledger.own()
            ledger.dispatch(["0"])

            def stop() -> None:
                wait_until(lambda: bool(paused(ledger)))
                threading.Event().wait(0.2)
                server.stop()

            thread = threading.Thread(target=stop)
            thread.start()
            code, out, err = run(capsys, "--timeout", "2")
            thread.join()
    finally:
        server.stop()
    assert (code, out) == (3, "")
    assert re.search(r"Redis can't be reached after \d\.\d s: 1 in flight before; CELERY_BROKER_URL says where\n", err)
    assert f"still paused: {topic}" in err
