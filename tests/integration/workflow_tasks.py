"""Tasks that return values and start workflows."""

from typing import Any

from celery import chain, chord, group
from pydantic import BaseModel

from ferry_shared.routes import Route
from ferry_worker.celery import app
from tests.integration.worker_tasks import task


class Order(BaseModel):
    """A message: what is to be done with the number."""

    how: str
    number: int


def sum_of_two(first: int, second: int) -> int:
    """A part of a workflow."""
    return first + second


def sum_of_all(numbers: list[int]) -> int:
    """The last part of one."""
    return sum(numbers)


add: Any = app.task(sum_of_two, name="tests.add")
add_up: Any = app.task(sum_of_all, name="tests.sum")


@task(name="tests.workflow", bind=True, max_retries=3)
def handle(self: Any, order: Order) -> Any:
    """Do it; a workflow's own id is the value."""
    parts = [add.s(order.number, part) for part in (1, 2, 3)]
    match order.how:
        case "fail":
            raise LookupError(f"no order {order.number}")
        case "retry" if not self.request.retries:
            raise self.retry(exc=ConnectionError("not yet"), countdown=order.number)
        case "replace":
            raise self.replace(chain(parts[0], add.s(10)))
        case "chain":
            return chain(parts[0], add.s(10), add.s(100)).apply_async().id
        case "group":
            started = group(parts).apply_async()
            started.save()
            return started.id
        case "chord":
            return chord(parts, add_up.s())().id
    return {"number": order.number, "tries": self.request.retries + 1}


def routes_of(topic: str) -> list[Route]:
    """The route of a test's own topic, in a queue of its own."""
    return [Route(topic, Order, "tests.workflow", "workflows")]
