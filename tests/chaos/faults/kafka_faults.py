"""Kafka: killed, held, away; and what operators do to groups and topics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Held, Killed, Left, Part, Rewound
from tests.chaos.faults.scene import NotProvenError
from tests.chaos.routes import TOPIC
from tests.chaos.system import GROUP
from tests.support.group_admin import add_partitions, set_group_offset
from tests.support.kafka_records import committed_offsets, end_offsets
from tests.support.processes_of import continue_process, is_stopped, stop_process

if TYPE_CHECKING:
    from tests.chaos.faults.scene import Scene

_MOST_REWOUND = 400
_FEWEST_REWOUND = 50


def killed(scene: Scene) -> str:
    """SIGKILL, and a start right after; `away`: only after a while."""
    kafka, at = scene.system.kafka, time.time()
    assert kafka.process is not None
    pid = kafka.process.pid
    kafka.kill()
    scene.effects.append(Killed(scene.number, Part.KAFKA, at, time.time(), pid))
    scene.wait()
    kafka.start()
    kafka.wait_ready()
    until = time.time()
    scene.effects.append(Away(scene.number, Part.KAFKA, at, until))
    return f"process {pid} gone (SIGKILL), process {kafka.process.pid} answers after {until - at:.1f} s"


def held(scene: Scene) -> str:
    """SIGSTOP, and SIGCONT after a while."""
    kafka, at = scene.system.kafka, time.time()
    assert kafka.process is not None
    pid = kafka.process.pid
    stop_process(pid)
    try:
        scene.wait()
        if not is_stopped(pid):
            raise NotProvenError(f"process {pid} did not stand still to the end")
    finally:
        continue_process(pid)
        scene.effects.append(Held(scene.number, Part.KAFKA, at, time.time(), pid))
        scene.effects.append(Away(scene.number, Part.KAFKA, at, time.time()))
    kafka.wait_ready()
    return f"process {pid} stood still for {scene.planned.seconds:g} s (state T at both ends)"


def rewound(scene: Scene) -> str:
    """All consumers stopped, the group's offsets set back in half of the partitions, the consumers started again."""
    system, keeper, servers = scene.system, scene.system.keeper, scene.system.kafka.bootstrap_servers
    at = time.time()
    stopped = {service: service.pid for service in system.consumers if service.wanted}
    try:
        for service in stopped:
            pid = keeper.stop(service)
            scene.effects.append(Left(scene.number, Part.CONSUMER, at, time.time(), pid))
        committed = committed_offsets(servers, GROUP, TOPIC)
        back = _FEWEST_REWOUND + int(scene.planned.draw * (_MOST_REWOUND - _FEWEST_REWOUND))
        offsets = {partition: max(0, offset - back) for partition, offset in sorted(committed.items())[::2]}
        set_at = time.time()
        for partition, offset in offsets.items():
            set_group_offset(servers, GROUP, TOPIC, offset, partition=partition, timeout_seconds=60.0)
        scene.effects.append(Rewound(scene.number, Part.KAFKA, set_at, time.time(), offsets=offsets))
        if any(committed_offsets(servers, GROUP, TOPIC)[partition] != offset for partition, offset in offsets.items()):
            raise NotProvenError("Kafka has other offsets than those that were set")
    finally:
        for service in stopped:
            keeper.release(service)
    for service, pid in stopped.items():
        service.wait_answering(pid)
    moved = ", ".join(f"{partition}: {committed[partition]} to {offset}" for partition, offset in offsets.items())
    return f"offsets set back by {back}: {moved}"


def partitions_added(scene: Scene) -> str:
    """Two partitions more."""
    servers = scene.system.kafka.bootstrap_servers
    before = len(end_offsets(servers, TOPIC))
    add_partitions(servers, TOPIC, before + 2)
    after = end_offsets(servers, TOPIC)
    if len(after) != before + 2:
        raise NotProvenError(f"{len(after)} partitions")
    scene.prove(lambda: _taken_up(scene, before) and _taken_up(scene, before + 1), "consumers took them up")
    return f"{before} partitions became {len(after)}, and consumers took the new ones up"


def _taken_up(scene: Scene, partition: int) -> bool:
    line = f"{TOPIC}-{partition}: from offset"
    return any(line in process.output() for service in scene.system.consumers for process in service.processes)
