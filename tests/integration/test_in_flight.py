"""`ferry in-flight list` while a consumer and a worker are at work."""

import json
from typing import Any

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, produce
from tests.support.task_routes import route


def listed(ferry: FerryProcesses, *words: str) -> dict[str, Any]:
    """The list as programs get it."""
    done = ferry.run("-m", "ferry_console", "in-flight", "list", "--json", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def states(ferry: FerryProcesses, *words: str) -> list[tuple[str, str]]:
    """Which message is in which state."""
    return [(entry["task_id"].partition("@")[0], entry["state"]) for entry in listed(ferry, *words)["entries"]]


@pytest.mark.single_messages
def test_every_message_in_flight_is_listed_until_it_ends(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """One running, one waiting for its retry, the rest queued; nothing once they are done."""
    retrying = f"{topic}-retrying"
    for name in (topic, retrying):
        create_topic(kafka.bootstrap_servers, name)
    events = route(ferry, {topic: "tests.waiting", retrying: "tests.postponing"})
    produce(kafka.bootstrap_servers, retrying, [b'{"number": 1}'])
    ferry.consumer().wait_for_text("from offset")
    worker = ferry.worker("-c", "1", *QUICK_START)
    eventually(lambda: states(ferry), [(f"{retrying}-0-0", "retrying")], timeout_seconds=60)
    produce(kafka.bootstrap_servers, topic, [b'{"number": %d}' % number for number in range(5)])
    running = [(f"{topic}-0-0", "running"), *((f"{topic}-0-{number}", "queued") for number in range(1, 5))]
    eventually(lambda: states(ferry, "--topic", topic), running)
    assert listed(ferry)["in_flight"] == 6
    assert states(ferry, "--topic", topic, "--state", "running") == running[:1]
    assert states(ferry)[0] == (f"{retrying}-0-0", "retrying")
    people = ferry.run("-m", "ferry_console", "in-flight", "list", "--limit", "2")
    assert "6 messages in flight, the 2 oldest of those asked for (more: --limit)" in people.stdout
    events.with_name("release").touch()
    eventually(lambda: len(states(ferry, "--topic", topic)), 0, timeout_seconds=60)
    assert worker.running
