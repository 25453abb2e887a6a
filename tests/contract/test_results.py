"""The result of a routed task, as any Celery client finds it by the task's id."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TimeoutError as NoResultInTime
from celery.result import AsyncResult
from pydantic import BaseModel

from ferry_shared.ledger.client import connect
from ferry_worker import track
from ferry_worker.configuration import worker_settings
from tests.integration.worker_harness import Partition
from tests.support.pool_process import PoolProcess, close_app

#: Celery's own call in its Redis backend.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

TASK = "shop.order"


class Order(BaseModel):
    """A message."""

    number: int


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    """An app whose task does what the order's number says, and which keeps results."""
    worker_settings.cache_clear()
    app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
    track(app)

    def handle(self: Any, order: Order) -> Any:
        if order.number < 0:
            raise LookupError(f"no order {order.number}")
        if order.number == 0 and not self.request.retries:
            raise self.retry(exc=ConnectionError("not yet"), countdown=0)
        return order if order.number == 99 else {"number": order.number, "tries": self.request.retries + 1}

    app.task(handle, name=TASK, bind=True, shared=False)
    yield app
    worker_settings.cache_clear()


@pytest.fixture
def process(app: Celery, redis_url: str) -> Iterator[PoolProcess]:
    """Runs its tasks."""
    process = PoolProcess(app, redis_url)
    yield process
    process.close()


@pytest.fixture
def orders(redis_url: str) -> Iterator[Partition]:
    """A topic whose messages become that task."""
    with connect(redis_url) as client:
        partition = Partition(client, TASK)
        partition.acquire()
        yield partition


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    """A Celery client that knows no task, and has nothing of Ferry's."""
    client = Celery(backend=redis_url, set_as_current=False)
    yield client
    close_app(client)


def result(client: Celery, offset: int = 0) -> Any:
    """What the client finds of a message."""
    return AsyncResult(f"orders-0-{offset}", app=client)


def test_a_value_is_found_by_the_tasks_id(process: PoolProcess, orders: Partition, client: Celery) -> None:
    """State and value, and `get` for those who wait."""
    orders.dispatch(b'{"number": 17}', b'{"number": 18}')
    assert result(client).state == "PENDING"
    process.run_next()
    assert (result(client).state, result(client).result) == ("SUCCESS", {"number": 17, "tries": 1})
    assert result(client).get(timeout=5) == {"number": 17, "tries": 1}
    with pytest.raises(NoResultInTime):
        result(client, 1).get(timeout=0.05)


def test_another_groups_results_are_its_own(process: PoolProcess, redis_url: str, client: Celery) -> None:
    """Its name is part of the id."""
    with connect(redis_url) as redis_client:
        audit = Partition(redis_client, TASK, group="audit")
        audit.acquire()
        audit.dispatch(b'{"number": 17}')
        process.run_next()
    assert result(client).state == "PENDING"
    assert AsyncResult("orders-0-0@audit", app=client).get(timeout=5)["number"] == 17


def test_a_failed_task_has_its_exception(process: PoolProcess, orders: Partition, client: Celery) -> None:
    """By name and text; a `get` raises it. So it is with a payload that doesn't fit."""
    orders.dispatch(b'{"number": -1}', b'{"number": "x"}')
    assert [process.run_next(), process.run_next()] == ["FAILURE", "FAILURE"]
    assert result(client).state == "FAILURE"
    with pytest.raises(LookupError, match="no order -1"):
        result(client).get(timeout=5)
    assert type(result(client, 1).result).__name__ == "InvalidPayload"
    assert orders.state("0")["error"] == "LookupError: no order -1"


def test_a_retry_is_told_until_the_next_attempt_ends(process: PoolProcess, orders: Partition, client: Celery) -> None:
    """With what it was retried for; the id stays the same."""
    orders.dispatch(b'{"number": 0}')
    assert process.run_next() == "RETRY"
    assert (result(client).state, str(result(client).result)) == ("RETRY", "not yet")
    stored = json.loads(orders.payload("0"))
    orders.push(orders.message("0", b'{"number": 0}', token="1.2", retries=stored["retries"]))
    assert process.run_next() == "SUCCESS"
    assert result(client).get(timeout=5) == {"number": 0, "tries": 2}


def test_a_task_that_was_started_too_often_has_failed(process: PoolProcess, orders: Partition, client: Celery) -> None:
    """It isn't run any more; who waits for it hears of it."""
    orders.dispatch(b'{"number": 17}')
    header = orders.header("0")
    for start in range(3):
        orders.worker_ledger.claim(header, f"lost-{start}", lease_ms=1, max_claims=3)
        orders.worker_ledger.release(header, f"lost-{start}")
    assert process.run_next() == "FAILURE"
    assert orders.state("0")["error"] == "poison: started 3 times and never ended"
    assert (result(client).state, str(result(client).result)) == (
        "FAILURE",
        "poison: started 3 times and never ended",
    )


def test_a_copy_that_is_not_run_changes_no_result(process: PoolProcess, orders: Partition, client: Celery) -> None:
    """Done or failed, the first outcome stays."""
    orders.dispatch(b'{"number": 17}', b'{"number": -1}')
    copies = [orders.message("0", b'{"number": 17}', copy=2), orders.message("1", b'{"number": -1}', copy=2)]
    assert [process.run_next(), process.run_next()] == ["SUCCESS", "FAILURE"]
    for copy in copies:
        orders.push(copy)
    assert [process.run_next(), process.run_next()] == ["IGNORED", "IGNORED"]
    assert [result(client, offset).state for offset in (0, 1)] == ["SUCCESS", "FAILURE"]


def test_a_value_that_is_no_json_is_a_failed_result_of_a_task_that_is_done(
    process: PoolProcess, orders: Partition, client: Celery
) -> None:
    """The ledger has its end by then: it isn't run again for its result, and is no dead letter."""
    orders.dispatch(b'{"number": 99}')
    assert process.run_next() == "FAILURE"
    assert orders.entries == []
    assert (result(client).state, type(result(client).result).__name__) == ("FAILURE", "EncodeError")


def test_results_can_be_left_out(app: Celery, process: PoolProcess, orders: Partition, client: Celery) -> None:
    """By the task, as ever in Celery: nothing is kept, neither of what is done nor of what failed."""
    app.tasks[TASK].ignore_result = True
    orders.dispatch(b'{"number": 17}', b'{"number": -1}')
    assert [process.run_next(), process.run_next()] == ["SUCCESS", "FAILURE"]
    assert [result(client, offset).state for offset in (0, 1)] == ["PENDING", "PENDING"]
    assert orders.client.keys("celery-task-meta-*") == []


def test_started_says_that_a_worker_has_taken_it(
    app: Celery, process: PoolProcess, orders: Partition, client: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `task_track_started`."""
    app.tasks[TASK].track_started = True
    seen: list[str] = []
    monkeypatch.setattr(app.tasks[TASK], "run", lambda order: seen.append(result(client).state))
    orders.dispatch(b'{"number": 17}')
    process.run_next()
    assert (seen, result(client).state) == (["STARTED"], "SUCCESS")


def test_a_backend_that_is_away_does_not_undo_what_is_done(
    app: Celery, process: PoolProcess, orders: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is lost, the message isn't run again for it."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no backend")

    monkeypatch.setattr(app.backend, "store_result", refuse)
    orders.dispatch(b'{"number": 17}')
    fields = process.take()
    assert fields is not None
    with pytest.raises(OSError, match="no backend"), pytest.warns(RuntimeWarning, match="outside body"):
        process.run(fields)
    assert orders.entries == []
