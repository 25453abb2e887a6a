"""A Celery app that already exists, made to complete the ledger by one line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker_harness import QUICK_START, WorkerBench, wait_until
from tests.support.valkey_server import ValkeyServer

APP = """
import os
from celery import Celery
from ferry_worker import track

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
track(app)

@app.task(name="shop.order")
def handle_order(order: dict[str, int]) -> None:
    print(f"took {order['number'] + 1}")
    if order["number"] < 0:
        raise ValueError("negative")
"""

PLAIN = """
from celery import Task

@app.task(name="shop.plain", base=Task)
def handle_plainly(order):
    print(f"ran {order}")
"""

ROUTES = """
from ferry_shared.routes import Route

routes = [Route("orders", dict, "shop.plain")]
"""

SLOW = """
import time

@app.task(name="shop.slow")
def handle_slowly(order: dict[str, int]) -> None:
    print(f"began {order['number']}")
    time.sleep(1)
"""


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[WorkerBench]:
    """An empty bench whose directory holds a user's app; the broker's address is the app's own."""
    (tmp_path / "shop.py").write_text(APP, encoding="utf-8")
    with WorkerBench(redis_url, tmp_path) as bench:
        bench.processes.settings = {"SHOP_BROKER": redis_url, "PYTHONPATH": str(tmp_path)}
        yield bench


def test_its_tasks_complete_the_ledger(bench: WorkerBench) -> None:
    """Messages are run, done and failed; the app keeps its own log."""
    orders = bench.partition("shop.order")
    orders.dispatch(b'{"number": 1}', b'{"number": -2}')
    worker = bench.processes.start("shop", "-m", "celery", "-A", "shop", "worker", "-c", "1", *QUICK_START)
    wait_until(lambda: "error" in orders.state("1") and orders.left_in_transport == (0, 0))
    assert (orders.entries, orders.state("1")["error"]) == (["1"], "ValueError: negative")
    assert "took 2" in worker.output()


def test_a_limit_above_the_lease_is_refused(bench: WorkerBench) -> None:
    """What the app configures itself is checked when its worker starts."""
    bench.processes.settings["WORKER_TASK_TIME_LIMIT_SECONDS"] = "100"
    bench.processes.settings["WORKER_TASK_SOFT_TIME_LIMIT_SECONDS"] = "100"
    (bench.processes.directory / "shop.py").write_text(APP + "\napp.conf.task_time_limit = 200\n", encoding="utf-8")
    ended = bench.processes.run("-m", "celery", "-A", "shop", "worker")
    assert ended.returncode == 2, ended.stderr
    assert "WORKER_TASK_TIME_LIMIT_SECONDS (100)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_task_that_is_not_tracked_runs_none_of_ferrys_messages(bench: WorkerBench) -> None:
    """Each receipt is told by name and counts as a start, then it has failed; called in the usual way it runs."""
    (bench.processes.directory / "shop.py").write_text(APP + PLAIN, encoding="utf-8")
    orders = bench.partition("shop.plain")
    orders.dispatch(b'{"number": 1}')
    worker = bench.processes.start("shop", "-m", "celery", "-A", "shop", "worker", "-c", "1", *QUICK_START)
    worker.wait_for_text("the task 'shop.plain' isn't tracked", 60.0)
    for starts in (1, 2, 3):
        wait_until(lambda starts=starts: orders.state("0").get("claims") == starts)  # type: ignore[misc]
        wait_until(lambda: orders.left_in_transport == (0, 0))
        orders.push(orders.message("0", b'{"number": 1}', copy=starts + 1))
    wait_until(lambda: "error" in orders.state("0") and orders.left_in_transport == (0, 0))
    assert orders.state("0")["error"] == "untracked: no worker that received it has 'shop.plain' as a tracked task"
    called = bench.processes.run("-m", "celery", "-A", "shop", "call", "shop.plain", "--args=[7]")
    assert called.returncode == 0, called.stderr
    worker.wait_for_text("ran 7")
    assert worker.output().count("ran ") == 1


def test_a_task_of_the_routes_that_is_not_tracked_is_refused(bench: WorkerBench) -> None:
    """An app of a user's own is held to FERRY_ROUTES too, where that is set."""
    (bench.processes.directory / "shop.py").write_text(APP + PLAIN, encoding="utf-8")
    (bench.processes.directory / "shop_routes.py").write_text(ROUTES, encoding="utf-8")
    bench.processes.settings["FERRY_ROUTES"] = "shop_routes:routes"
    ended = bench.processes.run("-m", "celery", "-A", "shop", "worker")
    assert ended.returncode == 2, ended.stderr
    assert "the task 'shop.plain' of topic orders would never complete the ledger" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey that can be killed, and keeps its data."""
    server = ValkeyServer(tmp_path / "valkey", persistence="append-only")
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()


def test_its_worker_outlives_a_restart_of_redis(server: ValkeyServer, tmp_path: Path) -> None:
    """kombu's own transport would end it with an AttributeError; Ferry's goes on, and what was reserved runs once."""
    (tmp_path / "shop.py").write_text(APP + SLOW, encoding="utf-8")
    with WorkerBench(server.url, tmp_path) as bench:
        bench.processes.settings = {"SHOP_BROKER": server.url, "PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
        orders = bench.partition("shop.slow")
        orders.dispatch(*(b'{"number": %d}' % number for number in range(6)))
        worker = bench.processes.start("shop", "-m", "celery", "-A", "shop", "worker", "-c", "1", *QUICK_START)
        worker.wait_for_text("began 0")
        server.kill()
        server.start()
        wait_until(lambda: not orders.entries and orders.left_in_transport == (0, 0), 60.0)
        assert worker.running
        assert [worker.output().count(f"began {number}") for number in range(6)] == [1] * 6
