"""Ferry's own processes: killed, held still, asked to leave, joined by another."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.chaos.effects import Held, Killed, Left, Part
from tests.support.processes_of import continue_process, is_alive, is_stopped, kill_process, stop_process

if TYPE_CHECKING:
    from tests.chaos.faults.scene import Scene

#: Children whose parent was killed end by themselves; those that don't are killed after this.
ORPHANED_SECONDS = 25.0
#: A process that is being killed is neither stopped nor gone for a moment.
_DYING_SECONDS = 0.5


def killed(scene: Scene) -> str:
    """SIGKILL, and a successor."""
    return _killed(scene, with_children=False)


def killed_with_children(scene: Scene) -> str:
    """SIGKILL to the whole session, as when a container or a machine dies."""
    return _killed(scene, with_children=True)


def _killed(scene: Scene, *, with_children: bool) -> str:
    service, children, at = scene.service, scene.service.children, time.time()
    pid = scene.system.keeper.kill(service, with_children=with_children)
    scene.effects.append(Killed(scene.number, service.part, at, time.time(), pid))
    successor = service.wait_answering(pid)
    proof = f"process {pid} gone (SIGKILL), process {successor} has come up"
    if service.part is Part.WORKER:
        proof += f"; {_end_orphans(scene, at, children)}"
    return proof


def _end_orphans(scene: Scene, at: float, children: list[int]) -> str:
    deadline = time.monotonic() + ORPHANED_SECONDS
    while time.monotonic() < deadline and any(map(is_alive, children)):
        time.sleep(0.1)
    left = [pid for pid in children if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    now = time.time()
    scene.effects.extend(Killed(scene.number, Part.WORKER_CHILD, at, now, pid) for pid in children)
    return f"its {len(children)} children ended" + (f", {len(left)} of them had to be killed" if left else "")


def held(scene: Scene) -> str:
    """SIGSTOP, and SIGCONT after a while."""
    return _held(scene, scene.service.part, scene.service.pid)


def _held(scene: Scene, part: Part, pid: int) -> str:
    at = time.time()
    stop_process(pid)
    try:
        scene.prove(lambda: is_stopped(pid), f"process {pid} stands still")
        scene.wait()
        # A parent may have killed its child meanwhile; nobody may have woken it.
        scene.prove(
            lambda: is_stopped(pid) or not is_alive(pid), f"process {pid} stands still to the end", _DYING_SECONDS
        )
    finally:
        scene.effects.append(Held(scene.number, part, at, time.time(), pid))
        outcome = _go_on(pid)
    return f"process {pid} stood still for {scene.planned.seconds:g} s (state T at both ends), then {outcome}"


def _go_on(pid: int) -> str:
    if not is_alive(pid):
        return "had been killed by its parent"
    continue_process(pid)
    return "went on"


def restarted(scene: Scene) -> str:
    """SIGTERM, and a successor."""
    service, keeper, at = scene.service, scene.system.keeper, time.time()
    pids = [service.pid, *service.children]
    pid = keeper.stop(service)
    code = service.processes[-1].exit_code
    now = time.time()
    scene.effects.extend(Left(scene.number, service.part, at, now, ended) for ended in pids)
    keeper.release(service)
    successor = service.wait_answering(pid)
    return f"process {pid} ended with exit code {code} after {now - at:.1f} s, process {successor} has come up"


def joins_and_leaves(scene: Scene) -> str:
    """One more member of the group, which then leaves it."""
    service, keeper, at = scene.service, scene.system.keeper, time.time()
    known = len(service.processes)
    keeper.release(service)
    try:
        scene.prove(
            lambda: len(service.processes) > known and ": from offset" in service.processes[-1].output(),
            "a third consumer has partitions",
        )
        scene.wait()
        partitions = service.processes[-1].output().count(": from offset")
    finally:
        pid = keeper.stop(service)
        scene.effects.append(Left(scene.number, Part.CONSUMER, at, time.time(), pid))
    return (
        f"process {pid} joined, took up {partitions} partitions, and left (exit code {service.processes[-1].exit_code})"
    )


def child_killed(scene: Scene) -> str:
    """SIGKILL to one of a worker's pool processes."""
    service = scene.service
    children = service.children
    victim, at = _chosen(scene, children), time.time()
    kill_process(victim)
    scene.effects.append(Killed(scene.number, Part.WORKER_CHILD, at, time.time(), victim))
    scene.prove(lambda: set(service.children) - set(children), "the worker has a new child")
    return f"child {victim} of worker {service.pid} gone (SIGKILL), it has a new one"


def child_held(scene: Scene) -> str:
    """SIGSTOP to one of a worker's pool processes."""
    return _held(scene, Part.WORKER_CHILD, _chosen(scene, scene.service.children))


def _chosen(scene: Scene, children: list[int]) -> int:
    return children[int(scene.planned.draw * len(children))]
