"""One clock for everything: the processes' clocks, their sleeps, and the server's TIME inside the scripts.

It moves only when somebody waits or the test lets time pass, so leases of an hour cost nothing, and nothing depends on
how fast the machine is. In the scripts it replaces one function of the prelude, `now_ms`, and nothing else.
"""

import sys
import time
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from types import FunctionType, ModuleType

import pytest
import redis

from ferry_shared.ledger import scripts
from ferry_shared.ledger.scripts import Script
from tests.contract.model.actor import Actor

NOW_KEY = "virtual:now"
START_MS = 1_700_000_000_000
_REAL_NOW = """  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""
_VIRTUAL_NOW = f"  return tonumber(redis.call('GET', '{NOW_KEY}'))\n"


class VirtualTime:
    """Stands for the module `time` in Ferry's modules. The scripts read it from a key."""

    def __init__(self, server: redis.Redis) -> None:
        self._server = server
        self.now_ms = START_MS

    def reset(self) -> None:
        """Begin anew, in an empty database."""
        self.now_ms = START_MS
        self.publish()

    def publish(self) -> None:
        """Tell the server."""
        self._server.set(NOW_KEY, self.now_ms)

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        if milliseconds > 0:
            self.now_ms += milliseconds
            self.publish()

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_ms / 1000

    time = perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        """Let at least this much time pass, and others run meanwhile."""
        until = self.now_ms + int(seconds * 1000)

        def wake() -> None:
            self.advance(until - self.now_ms)

        Actor.current().step("sleep", wake, wake)


def install(monkeypatch: pytest.MonkeyPatch, clock: VirtualTime) -> dict[str, str]:
    """Put the clock into Ferry's modules and scripts; returns the scripts' names by digest."""
    for module in _modules():
        if vars(module).get("time") is time:
            monkeypatch.setattr(module, "time", clock)
        for function in _initializers(module):
            before = function.__defaults__ or ()
            if time.monotonic in before:
                defaults = tuple(clock.monotonic if item is time.monotonic else item for item in before)
                monkeypatch.setattr(function, "__defaults__", defaults)
    original = scripts.script

    @cache
    def with_virtual_time(name: str) -> Script:
        text = original(name).text
        assert text.count("redis.call('TIME')") == text.count(_REAL_NOW) == 1, f"{name}.lua reads the time by itself"
        return Script(text.replace(_REAL_NOW, _VIRTUAL_NOW))

    monkeypatch.setattr(scripts, "script", with_virtual_time)
    folder = files("ferry_shared.ledger") / "lua"
    names = {path.name.removesuffix(".lua") for path in folder.iterdir()}
    return {with_virtual_time(name).digest: name for name in names - {"prelude", "transport"}}


def _modules() -> list[ModuleType]:
    packages = ("ferry_consumer", "ferry_worker")
    return [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] in packages]


def _initializers(module: ModuleType) -> Iterator[FunctionType]:
    for item in vars(module).values():
        function = vars(item).get("__init__") if isinstance(item, type) else None
        if isinstance(function, FunctionType):
            yield function
