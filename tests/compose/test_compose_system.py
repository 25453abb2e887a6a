"""The Compose file, run for real: Kafka, Valkey, producer, consumer, worker and beat in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.compose.system import wait_until

if TYPE_CHECKING:
    from tests.compose.system import ComposeSystem

pytestmark = pytest.mark.timeout(1500)

WATCHED_SECONDS = 10
SEEN_WITHIN_SECONDS = 20
#: A killed static member keeps its partitions until its session ends (8 s) or it comes back.
RECOVERED_WITHIN_SECONDS = 60


def test_the_worker_prints_a_message_a_second(system: ComposeSystem) -> None:
    """Nothing but `up` is needed for a line a second in the worker's log."""
    wait_until(lambda: bool(system.printed()), "a first message", SEEN_WITHIN_SECONDS)
    before, started = len(system.printed()), time.monotonic()
    time.sleep(WATCHED_SECONDS)
    lines, seconds = len(system.printed()) - before, time.monotonic() - started

    assert lines == pytest.approx(seconds, abs=2)


def test_one_message_by_hand_is_printed(system: ComposeSystem) -> None:
    """`run --rm producer "..."` sends exactly that one message, and ends."""
    system.send("hello from the test")

    wait_until(lambda: system.has_printed("hello from the test"), "the message printed", SEEN_WITHIN_SECONDS)


def test_a_message_from_this_machine_is_printed(system: ComposeSystem) -> None:
    """Kafka's second listener serves programs outside the containers."""
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": f"localhost:{system.kafka_port}"}
    subprocess.run(
        [sys.executable, "-m", "ferry_producer", "hello from outside"], env=environment, check=True, timeout=60
    )

    wait_until(lambda: system.has_printed("hello from outside"), "the message printed", SEEN_WITHIN_SECONDS)


def test_a_killed_consumer_goes_on_where_it_stopped(system: ComposeSystem) -> None:
    """What is sent while the consumer is dead arrives after its restart; no message is printed twice."""
    system.compose("kill", "-s", "SIGKILL", "consumer")
    wait_until(lambda: system.states().get("consumer") in {None, "exited", "unhealthy"}, "dead", SEEN_WITHIN_SECONDS)
    system.send("sent while the consumer was dead")

    system.compose("start", "consumer")

    wait_until(
        lambda: system.has_printed("sent while the consumer was dead"),
        "the message printed",
        RECOVERED_WITHIN_SECONDS,
    )
    wait_until(lambda: system.states()["consumer"] == "healthy", "healthy again", RECOVERED_WITHIN_SECONDS)
    task_ids = [task_id for task_id, _ in system.printed()]
    assert len(task_ids) == len(set(task_ids))


def test_beat_makes_the_worker_print_the_status(system: ComposeSystem) -> None:
    """Beat runs beside the rest, at the interval that the environment names."""
    before = system.status_lines()
    wait_until(lambda: system.status_lines() >= before + 2, "two more status lines", SEEN_WITHIN_SECONDS)


def test_the_worker_image_needs_no_kafka_client(system: ComposeSystem) -> None:
    """The worker's image holds no Kafka client and runs as an ordinary user."""
    told = system.compose(
        "exec", "-T", "worker", "python3", "-c",
        "import importlib.util as u, os; print(u.find_spec('confluent_kafka'), os.getuid() != 0)",
    )  # fmt: skip

    assert told.split() == ["None", "True"]


def test_only_kafka_is_published_and_only_to_this_machine(system: ComposeSystem) -> None:
    """No port is open to other machines, and Valkey's to nobody."""
    containers = system.compose("ps", "--quiet").split()
    described = json.loads(subprocess.run(["docker", "inspect", *containers], capture_output=True, check=True).stdout)
    published = [
        (binding["HostIp"], binding["HostPort"])
        for container in described
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]

    assert published == [("127.0.0.1", str(system.kafka_port))]
