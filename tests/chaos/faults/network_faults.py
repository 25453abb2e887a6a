"""The network between the consumers and Valkey."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_console.local.ports import LOOPBACK
from ferry_shared.ledger.scripts import script
from tests.chaos.effects import Away, Part
from tests.chaos.faults.scene import NotProvenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.faults.scene import Scene

_PROBE_SECONDS = 1.0
_DELAY_SECONDS = 0.4
#: The scripts whose replies are cut: what the consumer must not do twice comes most often.
_CUT = ("dispatch", "dispatch", "snapshot", "committed")
_TRIES = 5


def delayed(scene: Scene) -> str:
    """Every reply comes late."""
    with _disturbed(scene):
        scene.system.proxy.delay(_DELAY_SECONDS)
        started = time.monotonic()
        _ping(scene, timeout_seconds=10.0)
        seconds = time.monotonic() - started
        if seconds < _DELAY_SECONDS:
            raise NotProvenError(f"a PING took {seconds:.2f} s")
        scene.wait()
    return f"a PING took {seconds:.2f} s"


def dropped(scene: Scene) -> str:
    """Nothing arrives, in either direction, and connections stay open."""
    with _disturbed(scene):
        scene.system.proxy.drop()
        try:
            _ping(scene, timeout_seconds=_PROBE_SECONDS)
        except redis.TimeoutError:
            pass
        else:
            raise NotProvenError("a PING was answered")
        scene.wait()
    return f"no answer to a PING within {_PROBE_SECONDS:g} s"


def cut(scene: Scene) -> str:
    """A script runs, and its caller never learns of it."""
    name = _CUT[int(scene.planned.draw * len(_CUT))]
    with _disturbed(scene), scene.system.valkey.client() as client:
        for _ in range(_TRIES):
            if _cut_a_reply(scene, client, name):
                return (
                    f"{name} ran (known to the server, and nobody was answered NOSCRIPT), its reply was swallowed, "
                    f"the connection closed ({scene.system.proxy.cuts} cuts so far)"
                )
    raise NotProvenError(f"{_TRIES} times somebody was answered NOSCRIPT while a reply to {name} was cut")


def _cut_a_reply(scene: Scene, client: redis.Redis, name: str) -> bool:
    """Cut one; false if it may have been that the server, restarted, doesn't know the script: then nothing has run."""
    proxy, digest = scene.system.proxy, script(name).digest
    scene.prove(lambda: client.script_exists(digest) == [True], f"the server knows {name}")
    cuts, before, after = proxy.cuts, _unknown_scripts(client), list[int]()
    proxy.cut_reply_after(digest.encode(), lambda: after.append(_unknown_scripts(client)))
    scene.prove(lambda: proxy.cuts > cuts, f"a reply to {name} was cut", 60.0)
    return after == [before]


def _unknown_scripts(client: redis.Redis) -> int:
    """How often this start of the server has answered NOSCRIPT."""
    errors: Any = client.info("errorstats")
    return int(errors.get("errorstat_NOSCRIPT", {"count": 0})["count"])


@contextmanager
def _disturbed(scene: Scene) -> Iterator[None]:
    at = time.time()
    try:
        yield
    finally:
        scene.system.proxy.pass_through()
        scene.effects.append(Away(scene.number, Part.NETWORK, at, time.time()))


def _ping(scene: Scene, timeout_seconds: float) -> None:
    proxy = scene.system.proxy
    with redis.Redis(LOOPBACK, proxy.port, socket_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0)) as client:
        client.ping()
