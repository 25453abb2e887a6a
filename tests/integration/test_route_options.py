"""Priorities, limits and delays of routes with a real Kafka, consumer and worker."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ferry_console.local.kafka import LocalKafka
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, produce, read_all

ONE_AT_A_TIME = ("-c", "1", *QUICK_START)
WAIT_SECONDS = 60
_ROUTES = """\
from typing import Any

from ferry_shared.routes import Route
from tests.integration.worker_tasks import Order


class Delayed(Order):
    after: float | None = None


routes = [Route(message=Delayed, queue="options", **options) for options in {options!r}]
"""


def route(ferry: FerryProcesses, routes: Sequence[dict[str, Any]]) -> Path:
    """Route topics with these options; returns the file into which the tasks tell what they did."""
    (ferry.directory / "option_routes.py").write_text(_ROUTES.format(options=list(routes)), encoding="utf-8")
    events = ferry.directory / "events"
    ferry.settings |= {
        "FERRY_ROUTES": "option_routes:routes",
        "FERRY_IMPORTS": "tests.integration.worker_tasks",
        "FERRY_TEST_EVENTS": str(events),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return events


def told(events: Path) -> list[str]:
    """What the tasks did so far, in order."""
    return events.read_text(encoding="utf-8").splitlines() if events.exists() else []


def orders(*numbers: int, **fields: Any) -> list[bytes | None]:
    """Messages with these numbers."""
    return [json.dumps({"number": number, **fields}).encode() for number in numbers]


@pytest.mark.single_messages
def test_what_is_urgent_is_taken_first(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """Whatever came before it into the same queue; `ferry trace` finds each in its own list."""
    later, urgent = f"{topic}-later", f"{topic}-urgent"
    events = route(
        ferry,
        [
            {"topic": later, "task": "tests.order", "priority": 9},
            {"topic": urgent, "task": "tests.order", "priority": 0},
        ],
    )
    for name, numbers in ((later, range(5)), (urgent, range(100, 105))):
        create_topic(kafka.bootstrap_servers, name)
        produce(kafka.bootstrap_servers, name, orders(*numbers))
    ferry.consumer()

    def where(name: str) -> tuple[str, int]:
        group = ferry.settings["CONSUMER_GROUP"]
        found = json.loads(ferry.run("-m", "ferry_console", "trace", f"{name}-0-4@{group}", "--json").stdout)
        return found["state"], found["ahead_in_queue"]

    eventually(lambda: [where(later), where(urgent)], [("queued", 4), ("queued", 4)], timeout_seconds=WAIT_SECONDS)
    ferry.worker(*ONE_AT_A_TIME)
    expected = [f"order Order {number}" for number in (*range(100, 105), *range(5))]
    eventually(lambda: told(events), expected, timeout_seconds=WAIT_SECONDS)


def test_a_routes_limit_ends_a_task_that_may_run_longer(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """By the hard limit, with only that given: its default soft limit doesn't come after it."""
    route(ferry, [{"topic": topic, "task": "tests.waiting", "time_limit_seconds": 2}])
    create_topic(kafka.bootstrap_servers, topic)
    produce(kafka.bootstrap_servers, topic, orders(1))
    ferry.consumer()
    worker = ferry.worker(*ONE_AT_A_TIME)
    worker.wait_for_text(r"ready\.", WAIT_SECONDS)
    began = time.monotonic()
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 1}, timeout_seconds=WAIT_SECONDS)
    assert time.monotonic() - began < 30, "the worker's own limit is 300 s"
    (letter,) = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    error = dict(letter.headers)["__dlq.errors.message"]
    assert isinstance(error, bytes)
    assert error.startswith((b"SoftTimeLimitExceeded", b"TimeLimitExceeded: it ran longer than its hard limit of 2 s"))


def test_a_worker_refuses_a_limit_above_its_own(ferry: FerryProcesses, topic: str) -> None:
    """By the route and the setting; with exit code 2."""
    route(ferry, [{"topic": topic, "task": "tests.order", "time_limit_seconds": 600}])
    ended = ferry.run("-m", "celery", "-A", "ferry_worker", "worker")
    assert ended.returncode == 2, ended.stderr
    assert f"time_limit_seconds of the route for {topic} is 600: expected at most" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_delayed_message_runs_in_time_whoever_is_killed(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Not before its time, once, and after those that came later; the committed offset waits for it."""
    events = route(ferry, [{"topic": topic, "task": "tests.order", "countdown_field": "after"}])
    create_topic(kafka.bootstrap_servers, topic)
    consumer, worker = ferry.consumer(), ferry.worker(*ONE_AT_A_TIME)
    worker.wait_for_text(r"ready\.", WAIT_SECONDS)
    sent = time.time()
    produce(kafka.bootstrap_servers, topic, [*orders(1, after=20), *orders(2), *orders(3, after=1e9)])
    eventually(lambda: told(events), ["order Order 2"], timeout_seconds=WAIT_SECONDS)

    def in_flight() -> list[tuple[str, str]]:
        listed = ferry.run("-m", "ferry_console", "in-flight", "list", "--json")
        return [(entry["task_id"], entry["state"]) for entry in json.loads(listed.stdout)["entries"]]

    eventually(in_flight, [(f"{topic}-0-0@{group}", "delayed")])
    consumer.kill()
    worker.kill()
    ferry.consumer()
    ferry.worker(*ONE_AT_A_TIME)
    assert committed_offsets(kafka.bootstrap_servers, group, topic) == {0: 0}
    eventually(lambda: told(events), ["order Order 2", "order Order 1"], timeout_seconds=WAIT_SECONDS)
    assert time.time() - sent >= 20
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 3}, timeout_seconds=WAIT_SECONDS)
    (letter,) = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    error = dict(letter.headers)["__dlq.errors.message"]
    assert error == b"invalid: after: later than CONSUMER_MAX_COUNTDOWN_SECONDS (3600) allows"
    assert told(events) == ["order Order 2", "order Order 1"]
