"""How a worker and a beat start: what they refuse, in one message and with exit code 2, and what they need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.keys import status_key
from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.ledger.worker_ledger import Receipt
from ferry_shared.status import PartitionStatus
from tests.integration.worker_harness import WorkerBench

ROUTES = """
from ferry_shared.routes import Route
routes = [Route(topic="orders", message=dict, task="tests.order", queue="orders")]
untracked = [Route(topic="orders", message=dict, task="plain.order")]
bad = [Route(topic="orders", message=dict, task="tests.bad")]
missing = [Route(topic="orders", message=dict, task="nobody.knows")]
"""
PLAIN_TASKS = """
from celery import Task
from ferry_worker.celery import app

@app.task(name="plain.order", base=Task)
def handle(order): ...
"""
BAD_ANNOTATION = """
from __future__ import annotations
from ferry_worker.celery import app

@app.task(name="tests.bad")
def handle(order: Missing) -> None: ...
"""
LONG_LIMIT = """
from ferry_worker.celery import app

@app.task(name="tests.long", time_limit=3600)
def handle(order) -> None: ...
"""


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench whose directory holds a user's modules."""
    modules = {"my_routes": ROUTES, "plain_tasks": PLAIN_TASKS, "bad_tasks": BAD_ANNOTATION, "long_tasks": LONG_LIMIT}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    with WorkerBench(redis_url, tmp_path) as bench:
        yield bench


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"WORKER_TASK_TIME_LIMIT_SECONDS": "soon"}, "WORKER_TASK_TIME_LIMIT_SECONDS"),
        ({"CELERY_BROKER_URL": "amqp://user:secret@localhost"}, "CELERY_BROKER_URL"),
        ({"FERRY_ROUTES": "nowhere:routes"}, "FERRY_ROUTES"),
        ({"FERRY_ROUTES": "my_routes:untracked", "FERRY_IMPORTS": "plain_tasks"}, "plain.order"),
        ({"FERRY_IMPORTS": "no_such_module"}, "FERRY_IMPORTS"),
        ({"FERRY_ROUTES": "my_routes:bad", "FERRY_IMPORTS": "bad_tasks"}, "the type of 'order' can't be used"),
        ({"FERRY_IMPORTS": "long_tasks"}, "WORKER_TASK_TIME_LIMIT_SECONDS (300)"),
        ({"FERRY_LOG_CONFIG": "no-such-file.json"}, "FERRY_LOG_CONFIG"),
    ],
)
def test_a_wrong_setting_is_told_in_one_message(bench: WorkerBench, settings: dict[str, str], expected: str) -> None:
    """The worker names what is wrong, without a traceback or a secret, and exits with 2."""
    ended = bench.processes.run("-m", "celery", "-A", "ferry_worker", "worker", settings=settings)
    assert ended.returncode == 2, ended.stderr
    assert expected in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


def test_beat_refuses_a_wrong_setting_too(bench: WorkerBench) -> None:
    """Beat gives the same message and the same exit code."""
    wrong = {"WORKER_STATUS_INTERVAL_SECONDS": "often"}
    ended = bench.processes.run("-m", "celery", "-A", "ferry_worker", "beat", settings=wrong)
    assert ended.returncode == 2, ended.stderr
    assert "WORKER_STATUS_INTERVAL_SECONDS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_worker_takes_from_every_queue_of_the_routes(bench: WorkerBench) -> None:
    """Without `-Q` a route's own queue is read too."""
    bench.worker(FERRY_ROUTES="my_routes:routes")
    orders = bench.partition("tests.order", queue="orders")
    orders.dispatch(b'{"number": 1}')
    bench.wait_for_event("order Order 1")


def test_a_route_without_task_is_told(bench: WorkerBench) -> None:
    """A worker that takes from a queue whose task it doesn't know says which module may be missing."""
    worker = bench.worker(FERRY_ROUTES="my_routes:missing")
    worker.wait_for_text("doesn't know the task nobody.knows of topic orders: is its module missing in FERRY_IMPORTS")


def test_the_worker_needs_no_kafka_client(bench: WorkerBench) -> None:
    """Its modules import where confluent-kafka isn't installed."""
    ended = bench.processes.run(
        "-c",
        "import sys; sys.modules['confluent_kafka'] = None; import ferry_worker.celery, ferry_worker.tasks; "
        "import ferry_worker.request; print(ferry_worker.celery.app.configured)",
    )
    assert (ended.returncode, ended.stdout) == (0, "False\n"), ended.stderr


def test_beat_has_a_status_line_printed(bench: WorkerBench) -> None:
    """A beat asks once an interval, and the worker prints the line."""
    worker = bench.worker(WORKER_STATUS_INTERVAL_SECONDS="1")
    beat = bench.processes.beat(WORKER_STATUS_INTERVAL_SECONDS="1")
    worker.wait_for_text("ferry.worker .* group ferry: consumer silent")
    assert beat.stop(grace_seconds=10.0) == 0
    assert not bench.client.exists("celery")


def test_beats_status_names_a_task_that_is_not_tracked(bench: WorkerBench) -> None:
    """Beside the status line, as an error, from what the ledger has counted of a partition that has a consumer."""
    orders = bench.partition("plain.order")
    receipt = orders.worker_ledger.untracked
    orders.record(b"{}")
    assert (
        receipt(orders.header("0"), "plain.order", Obstacle.UNTRACKED, max_claims=3, error="untracked")
        is Receipt.COUNTED
    )
    now_ms = server_time_ms(bench.client)
    word = PartitionStatus(now_ms, "orders", 0, "host:1", 1, 0, 1, 1, now_ms, 0, 0, 0, None)
    bench.client.hset(status_key("", "ferry"), word.field, word.to_json().decode())
    worker = bench.worker(WORKER_STATUS_INTERVAL_SECONDS="1")
    bench.processes.beat(WORKER_STATUS_INTERVAL_SECONDS="1")
    worker.wait_for_text("ERROR .*the task 'plain.order' isn't tracked: it received messages of orders-0 1 times")


def test_keys_have_the_prefix(bench: WorkerBench) -> None:
    """With FERRY_KEY_PREFIX a worker touches no key without it."""
    worker = bench.worker(FERRY_KEY_PREFIX="blue-")
    bench.processes.beat(WORKER_STATUS_INTERVAL_SECONDS="1", FERRY_KEY_PREFIX="blue-")
    worker.wait_for_text("consumer silent")
    assert {key[:5] for key in bench.client.scan_iter()} == {b"blue-"}
