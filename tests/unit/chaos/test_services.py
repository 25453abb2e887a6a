"""Services as the keeper stops them: real processes that end well, badly, or not at all."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.chaos import services
from tests.chaos.effects import Part
from tests.chaos.services import Keeper, Service
from tests.support.clean_environment import clean_environment
from tests.support.eventually import eventually

#: Says that it has begun, counts its SIGTERMs, and ends at the first one with the given code.
ENDS = """
import signal, sys, time
def end(*_):
    print("asked", flush=True)
    time.sleep(0.3)
    sys.exit({code})
signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
time.sleep(60)
"""
STAYS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(60)
"""


@contextmanager
def kept(folder: Path, **programs: str) -> Iterator[Keeper]:
    """Services that run these programs, all begun."""
    own = [
        Service(name, Part.BEAT, (sys.executable, "-c", program), clean_environment(), folder, lambda _: True)
        for name, program in programs.items()
    ]
    keeper = Keeper(own)
    keeper.start()
    try:
        for service in own:
            eventually(partial(_has_begun, service), expected=True)
        yield keeper
    finally:
        keeper.abandon()


def _has_begun(service: Service) -> bool:
    return bool(service.processes) and "begun" in service.processes[0].output()


def test_the_final_stop_keeps_each_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One SIGTERM each; what has not ended after its grace is killed, and that is told."""
    monkeypatch.setattr(services, "STOP_GRACE_SECONDS", 2.0)
    with kept(tmp_path, good=ENDS.format(code=0), bad=ENDS.format(code=3), stubborn=STAYS) as keeper:
        keeper._grace_seconds = 2.0
        keeper.close()

    assert {stop.service: stop.code for stop in keeper.stops} == {"good": 0, "bad": 3, "stubborn": -9}
    assert [stop.seconds >= 2.0 for stop in sorted(keeper.stops, key=lambda stop: stop.service)] == [False, False, True]
    assert keeper.services["good"].processes[0].output().count("asked") == 1
    assert keeper.unexpected == []


def test_a_stop_in_between_is_noted_too(tmp_path: Path) -> None:
    """And its end is no unexpected one."""
    with kept(tmp_path, bad=ENDS.format(code=3)) as keeper:
        keeper.stop(keeper.services["bad"])
        time.sleep(0.3)

        assert [(stop.service, stop.code) for stop in keeper.stops] == [("bad", 3)]
        assert keeper.unexpected == []


def test_what_ends_by_itself_right_before_the_final_stop_is_told(tmp_path: Path) -> None:
    """Nobody starts it again, and nobody asked it to end."""
    service = Service("brief", Part.BEAT, (sys.executable, "-c", "pass"), clean_environment(), tmp_path, lambda _: True)
    keeper = Keeper([service])
    service.start()
    eventually(lambda: service.running, expected=False)
    keeper._stop_all()

    assert {(ended.service, ended.code) for ended in keeper.unexpected} == {("brief", 0)}
