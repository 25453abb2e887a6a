"""Chains, groups and chords that a routed task starts: ordinary Celery tasks, which know nothing of the ledger."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.result import AsyncResult

from ferry_shared.ledger.client import connect
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker import track
from ferry_worker.configuration import worker_settings
from tests.integration.worker_harness import Partition
from tests.support.pool_process import PoolProcess, close_app

#: Celery's own call in its Redis backend.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

ROUTED = "shop.order"
ORDERS = "orders"
Start = Callable[[Celery, int], Any]


def sum_of_two(first: int, second: int) -> int:
    """What the task `add` does."""
    return first + second


def sum_of_all(numbers: list[int]) -> int:
    """What the task `sum` does."""
    return sum(numbers)


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    """An app with tasks to start; the routed one is added by `routed`."""
    worker_settings.cache_clear()
    app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
    track(app)
    app.task(sum_of_two, name="add", shared=False)
    app.task(sum_of_all, name="sum", shared=False)
    yield app
    close_app(app)
    worker_settings.cache_clear()


@pytest.fixture
def orders(redis_url: str) -> Iterator[Partition]:
    """A topic in a queue of its own, whose messages become the routed task."""
    with connect(redis_url) as client:
        partition = Partition(client, ROUTED, queue=ORDERS)
        partition.acquire()
        yield partition


@pytest.fixture
def process(app: Celery, redis_url: str) -> Iterator[PoolProcess]:
    """Runs its tasks."""
    process = PoolProcess(app, redis_url)
    yield process
    process.close()


def routed(app: Celery, start: Start) -> None:
    """Add the routed task: it starts a workflow with the message's number, and returns its id."""

    def handle(order: dict[str, int]) -> str:
        return str(start(app, order["number"]).id)

    app.task(handle, name=ROUTED, shared=False)


def add(app: Celery, *numbers: int | None) -> Any:
    """A signature of the first task."""
    return app.tasks["add"].s(*numbers)


def by_delay(app: Celery, number: int) -> Any:
    """One task."""
    return app.tasks["add"].delay(number, 8)


def by_chain(app: Celery, number: int) -> Any:
    """One after the other."""
    return chain(add(app, number, 4), add(app, 3), add(app, 1)).apply_async()


def by_chord(app: Celery, number: int) -> Any:
    """Several, and one when they are done."""
    return chord([add(app, number, part) for part in (1, 2)], app.tasks["sum"].s())()


def by_group_in_a_chain(app: Celery, number: int) -> Any:
    """A group, of which Celery makes a chord."""
    return chain(add(app, number, 0), group(add(app, 1), add(app, 2)), app.tasks["sum"].s()).apply_async()


@pytest.mark.parametrize(
    ("start", "children", "value"),
    [(by_delay, 1, 18), (by_chain, 3, 18), (by_chord, 3, 23), (by_group_in_a_chain, 4, 23)],
)
def test_a_workflow_runs_to_its_end(
    app: Celery, process: PoolProcess, orders: Partition, start: Start, children: int, value: int
) -> None:
    """Its tasks bear no header of Ferry's and name the message as their root; the message is done before they run."""
    routed(app, start)
    orders.dispatch(b'{"number": 10}')
    assert process.run_next(ORDERS) == "SUCCESS"
    assert orders.entries == []
    head = orders.client.hgetall(orders.keys.head)
    taken = process.run_all()
    assert len(taken) == children
    for message in taken:
        assert HEADER not in message["headers"]
        assert message["headers"]["root_id"] == "orders-0-0"
        assert message["headers"]["id"] != "orders-0-0"
        assert message["properties"]["delivery_info"]["routing_key"] == "celery"
    started = AsyncResult("orders-0-0", app=app).get(timeout=5)
    assert AsyncResult(started, app=app).get(timeout=5) == value
    assert orders.client.hgetall(orders.keys.head) == head
    assert process.take(ORDERS) is None


def test_a_group_is_found_by_its_id(app: Celery, process: PoolProcess, orders: Partition) -> None:
    """When the task saves it."""

    def start(app: Celery, number: int) -> Any:
        started = group(add(app, number, part) for part in range(3)).apply_async()
        started.save()
        return started

    routed(app, start)
    orders.dispatch(b'{"number": 10}')
    process.run_next(ORDERS)
    assert len(process.run_all()) == 3
    started = AsyncResult("orders-0-0", app=app).get(timeout=5)
    assert app.GroupResult.restore(started, backend=app.backend).get(timeout=5) == [10, 11, 12]


def test_children_that_fail_are_no_dead_letters(app: Celery, process: PoolProcess, orders: Partition) -> None:
    """The message is done; what its workflow comes to is Celery's affair, also in a chord."""
    routed(app, lambda app, number: chord([add(app, number, None), add(app, 1, 2)], app.tasks["sum"].s())())
    orders.dispatch(b'{"number": 10}')
    process.run_next(ORDERS)
    process.run_all()
    assert (orders.entries, orders.state("0")) == ([], {})
    started = AsyncResult("orders-0-0", app=app).get(timeout=5)
    assert AsyncResult(started, app=app).state == "FAILURE"


def test_a_task_that_is_routed_can_be_a_child_too(app: Celery, process: PoolProcess, orders: Partition) -> None:
    """Started by another one it is a plain task: it claims nothing, and gets its arguments as Celery brings them."""
    seen: list[Any] = []

    def handle(self: Any, order: dict[str, int]) -> None:
        seen.append((order["number"], self.request.get(HEADER) is not None))
        if order["number"]:
            self.delay({"number": order["number"] - 1})

    app.task(handle, name=ROUTED, bind=True, shared=False)
    orders.dispatch(b'{"number": 2}')
    process.run_next(ORDERS)
    process.run_all()
    assert seen == [(2, True), (1, False), (0, False)]


def test_a_replaced_task_is_done_and_its_result_is_the_replacements(
    app: Celery, process: PoolProcess, orders: Partition
) -> None:
    """`self.replace` queues a plain task under the message's id: it completes no entry, whenever it runs."""

    def handle(self: Any, order: dict[str, int]) -> Any:
        raise self.replace(chain(add(app, order["number"], 1), add(app, 2)))

    app.task(handle, name=ROUTED, bind=True, shared=False)
    orders.dispatch(b'{"number": 10}')
    assert process.run_next(ORDERS) == "IGNORED"
    assert orders.entries == []
    assert AsyncResult("orders-0-0", app=app).state == "PENDING"
    taken = process.run_all()
    assert [HEADER in message["headers"] for message in taken] == [False, False]
    assert taken[-1]["headers"]["id"] == "orders-0-0"
    assert AsyncResult("orders-0-0", app=app).get(timeout=5) == 13


def test_a_retried_task_starts_its_workflow_as_any_other(app: Celery, process: PoolProcess, orders: Partition) -> None:
    """What the next attempt starts bears no header either."""

    def handle(self: Any, order: dict[str, int]) -> Any:
        if not self.request.retries:
            raise self.retry(countdown=0, args=({"number": order["number"] + 1},))
        return str(by_chain(app, order["number"]).id)

    app.task(handle, name=ROUTED, bind=True, shared=False)
    orders.dispatch(b'{"number": 9}')
    assert process.run_next(ORDERS) == "RETRY"
    assert process.run_all() == []
    orders.push(orders.message("0", b'{"number": 10}', token="1.2", retries=1))
    assert process.run_next(ORDERS) == "SUCCESS"
    assert [HEADER in message["headers"] for message in process.run_all()] == [False] * 3
    assert orders.entries == []
