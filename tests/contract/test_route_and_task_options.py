"""What routes and tasks may say of limits and retries, as a pool process takes it and the ledger keeps it."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from celery import Celery

from ferry_shared.ledger.client import connect, server_time_ms
from ferry_worker import track
from ferry_worker.configuration import worker_settings
from tests.integration.worker_harness import Partition
from tests.support.pool_process import PoolProcess, close_app

TASK = "shop.order"
PAYLOAD = b'{"number": 1}'
MARGIN_SECONDS = 15


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    """An app without its task."""
    worker_settings.cache_clear()
    app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True
    track(app)
    yield app
    close_app(app)
    worker_settings.cache_clear()


@pytest.fixture
def process(app: Celery, redis_url: str) -> Iterator[PoolProcess]:
    """Runs it."""
    process = PoolProcess(app, redis_url)
    yield process
    process.close()


def partition_of(redis_url: str, **options: Any) -> Partition:
    """A topic whose messages become that task."""
    partition = Partition(connect(redis_url), TASK, options=options)
    partition.acquire()
    return partition


@pytest.mark.parametrize(
    ("options", "own", "seconds"),
    [
        ({}, {}, 300),
        ({"time_limit_seconds": 10}, {}, 10),
        ({"time_limit_seconds": 10}, {"time_limit": 40}, 10),
        ({}, {"time_limit": 40}, 40),
        ({"time_limit_seconds": 1_000}, {}, 300),
    ],
)
def test_a_claim_holds_as_long_as_the_task_may_run(
    app: Celery, process: PoolProcess, redis_url: str, options: dict[str, Any], own: dict[str, Any], seconds: int
) -> None:
    """By the route's limit, else by the task's, else by the worker's, which none exceeds; plus a margin."""
    orders = partition_of(redis_url, **options)
    leases: list[float] = []

    def handle(order: Any) -> None:
        state = orders.state("0")
        leases.append((state["lease"] - state["claimed"]) / 1000)

    app.task(handle, name=TASK, shared=False, **own)
    orders.dispatch(PAYLOAD)
    assert process.run_next() == "SUCCESS"
    assert leases == [pytest.approx(seconds + MARGIN_SECONDS, abs=0.01)]
    orders.client.close()


def delays_until_the_end(process: PoolProcess, orders: Partition, runs: int = 10) -> tuple[list[float], dict[str, Any]]:
    """Run a message and all its retries, each at once; returns the waits (s) that the ledger was told, and its end."""
    orders.dispatch(PAYLOAD)
    delays: list[float] = []
    for _ in range(runs):
        before_ms = server_time_ms(orders.client)
        process.run_next()
        state = orders.state("0")
        if "due" not in state:
            return delays, state
        delays.append((state["due"] - before_ms) / 1000)
        retries = orjson.loads(orders.payload("0"))["retries"]
        # The consumer's part, without the wait.
        orders.client.hset(orders.keys.state, "0", orjson.dumps({k: v for k, v in state.items() if k != "due"}))
        orders.push(orders.message("0", PAYLOAD, token=state["token"], retries=retries))
    raise AssertionError("it is retried for ever")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_retries": 2}, [180, 180]),
        ({"max_retries": 2, "default_retry_delay": 7}, [7, 7]),
        ({"retry_kwargs": {"max_retries": 3, "countdown": 5}}, [5, 5, 5]),
        ({"max_retries": 4, "retry_backoff": True, "retry_jitter": False}, [1, 2, 4, 8]),
        ({"max_retries": 5, "retry_backoff": 10, "retry_backoff_max": 60, "retry_jitter": False}, [10, 20, 40, 60, 60]),
        ({"max_retries": 0}, []),
        ({"max_retries": 3, "dont_autoretry_for": (ConnectionRefusedError,)}, []),
    ],
)
def test_a_tasks_own_retry_policy_holds(
    app: Celery, process: PoolProcess, redis_url: str, options: dict[str, Any], expected: list[float]
) -> None:
    """Celery's options, whatever the number and the waits; the last failure is the message's end."""
    orders = partition_of(redis_url)
    seen: list[int] = []

    def handle(self: Any, order: Any) -> None:
        seen.append(self.request.retries)
        raise ConnectionRefusedError("not yet")

    app.task(handle, name=TASK, bind=True, shared=False, autoretry_for=(ConnectionError,), **options)
    delays, state = delays_until_the_end(process, orders)
    assert delays == pytest.approx(expected, abs=1)
    assert seen == list(range(len(expected) + 1))
    assert state["error"] == "ConnectionRefusedError: not yet"
    orders.client.close()


def test_a_jitter_stays_within_the_backoff(app: Celery, process: PoolProcess, redis_url: str) -> None:
    """Celery's default: somewhere between none and all of it."""
    orders = partition_of(redis_url)

    def handle(order: Any) -> None:
        raise ConnectionError("not yet")

    options: dict[str, Any] = {"autoretry_for": (ConnectionError,), "max_retries": 6, "retry_backoff": 100}
    app.task(handle, name=TASK, shared=False, **options)
    delays, _ = delays_until_the_end(process, orders)
    assert len(delays) == 6
    assert all(0 <= delay <= 100 * 2**number + 1 for number, delay in enumerate(delays))
    orders.client.close()


def test_what_is_not_named_is_not_retried(app: Celery, process: PoolProcess, redis_url: str) -> None:
    """It has failed at once."""
    orders = partition_of(redis_url)

    def handle(order: Any) -> None:
        raise LookupError("no order")

    app.task(handle, name=TASK, shared=False, autoretry_for=(ConnectionError,), max_retries=3)
    delays, state = delays_until_the_end(process, orders)
    assert (delays, state["error"]) == ([], "LookupError: no order")
    orders.client.close()
