"""Valkey: killed, held, away, emptied, full, rolled back."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import redis

from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from tests.chaos.effects import Away, Forgot, Full, Killed, Part
from tests.chaos.faults.scene import NotProvenError
from tests.chaos.routes import TOPIC
from tests.chaos.system import GROUP
from tests.support.kafka_records import end_offsets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.faults.scene import Scene

#: What a killed server has acknowledged and not written: `appendfsync everysec` puts a write off while the disk syncs.
UNWRITTEN_SECONDS = 3.0
#: `head` and `inflight` are always there, the others come and go.
_KEYS_OF_A_LEDGER = ("head", "inflight", "state", "times", "attention")
_KEY_SECONDS = 20.0
#: Written right before a snapshot and right after it.
_BEFORE, _AFTER = "chaos-before-the-snapshot", "chaos-after-the-snapshot"


def killed(scene: Scene) -> str:
    """SIGKILL; the append-only file survives."""
    return _killed(scene, data_gone=False)


def killed_and_gone(scene: Scene) -> str:
    """SIGKILL, and nothing on disk: a server without an append-only file."""
    return _killed(scene, data_gone=True)


def away(scene: Scene) -> str:
    """SIGKILL, and no successor for a while."""
    return _killed(scene, data_gone=False)


def _killed(scene: Scene, *, data_gone: bool) -> str:
    server, at = scene.system.valkey, time.time()
    pid, before = server.process.pid, server.run_id
    server.kill()
    scene.effects.append(Killed(scene.number, Part.VALKEY, at, time.time(), pid))
    if data_gone:
        shutil.rmtree(scene.system.valkey_directory / "appendonlydir")
    scene.wait()
    keys: list[int] = []

    def before_listening(socket_path: Path) -> None:
        scene.system.watch_valkey(socket_path)
        keys.append(_size(scene))

    server.start(before_listening)
    server.wait_ready()
    until = time.time()
    scene.effects.append(Away(scene.number, Part.VALKEY, at, until))
    since = 0.0 if data_gone else at - UNWRITTEN_SECONDS
    scene.effects.append(Forgot(scene.number, Part.VALKEY, at, until, since=since))
    if server.run_id == before or (data_gone and keys != [0]):
        raise NotProvenError(f"run id {server.run_id} after {before}, {keys} keys")
    return f"process {pid} gone (SIGKILL), away for {until - at:.1f} s, new run id, {keys[0]} keys at its start"


def _size(scene: Scene) -> int:
    with scene.system.valkey.client() as client:
        return int(client.dbsize())


def held(scene: Scene) -> str:
    """SIGSTOP, and SIGCONT after a while: connections stay, nobody answers."""
    server, at = scene.system.valkey, time.time()
    server.pause()
    try:
        if not server.is_stopped:
            raise NotProvenError("it did not stop")
        scene.wait()
        if not server.is_stopped:
            raise NotProvenError("it did not stand still to the end")
    finally:
        server.go_on()
        scene.effects.append(Away(scene.number, Part.VALKEY, at, time.time()))
    return f"process {server.process.pid} stood still for {scene.planned.seconds:g} s (state T at both ends)"


def emptied(scene: Scene) -> str:
    """FLUSHALL."""
    at = time.time()
    with scene.system.valkey.client() as client:
        before = client.dbsize()
        with client.pipeline(transaction=True) as pipeline:
            _, after = pipeline.flushall().dbsize().execute()
    scene.effects.append(Forgot(scene.number, Part.VALKEY, at, time.time()))
    if after != 0:
        raise NotProvenError(f"{after} keys right after FLUSHALL")
    return f"DBSIZE {before} before, 0 right after"


def full(scene: Scene) -> str:
    """`maxmemory` below what is used, for a while; nothing is evicted."""
    at = time.time()
    with scene.system.valkey.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", used // 2)
        try:
            refusal = _refusal(client)
            scene.wait()
        finally:
            client.config_set("maxmemory", 0)
            scene.effects.append(Full(scene.number, Part.VALKEY, at, time.time()))
    return f"maxmemory {used // 2} of {used} used for {scene.planned.seconds:g} s: {refusal}"


def _refusal(client: redis.Redis) -> str:
    try:
        client.set("chaos-probe", "x")
    except redis.exceptions.OutOfMemoryError as error:
        return str(error)
    raise NotProvenError("a full server took a write")


def evicted(scene: Scene) -> str:
    """One key of a ledger gone, as an eviction does it."""
    at = time.time()
    with scene.system.valkey.client() as client:
        partition, key = _drawn_key(scene, client)
        with client.pipeline(transaction=True) as pipeline:
            deleted, present = pipeline.delete(key).exists(key).execute()
    scene.effects.append(Forgot(scene.number, Part.VALKEY, at, time.time(), partition=partition))
    if (deleted, present) != (1, 0):
        raise NotProvenError(f"{key}: deleted {deleted}, present {present}")
    return f"{key} gone"


def _drawn_key(scene: Scene, client: redis.Redis) -> tuple[int, str]:
    """One of the five kinds of keys, of one of the partitions that have it at this moment: the draw tells both."""
    kind, share = divmod(scene.planned.draw * len(_KEYS_OF_A_LEDGER), 1.0)
    wanted = _KEYS_OF_A_LEDGER[int(kind)]
    partitions = range(len(end_offsets(scene.system.kafka.bootstrap_servers, TOPIC)))
    keys = [str(getattr(LedgerKeys.of("", GROUP, TopicPartition(TOPIC, number)), wanted)) for number in partitions]
    deadline = time.monotonic() + _KEY_SECONDS
    while time.monotonic() < deadline:
        if present := [(number, key) for number, key in enumerate(keys) if client.exists(key)]:
            return present[int(share * len(present))]
        time.sleep(0.005)
    raise NotProvenError(f"no ledger had the key {wanted} within {_KEY_SECONDS:g} s")


def restored(scene: Scene) -> str:
    """Killed, and started with the data that it had some seconds ago."""
    server = scene.system.valkey
    since = time.time()
    with server.client() as client:
        client.set(_BEFORE, "x")
        snapshot = server.take_snapshot()
        client.set(_AFTER, "x")
    scene.wait()
    at, before = time.time(), server.run_id
    server.restore(snapshot, scene.system.watch_valkey)
    until = time.time()
    scene.effects.append(Away(scene.number, Part.VALKEY, at, until))
    scene.effects.append(Forgot(scene.number, Part.VALKEY, at, until, since=since))
    with server.client() as client:
        found = [client.exists(key) for key in (_BEFORE, _AFTER)]
        client.delete(_BEFORE, _AFTER)
    if server.run_id == before or found != [1, 0]:
        raise NotProvenError(f"run id {server.run_id} after {before}; keys from before and after the snapshot: {found}")
    return (
        f"restarted with the data of {at - since:.1f} s before, new run id; a key from right before the snapshot is "
        "there, one from right after it is gone"
    )
