"""A shop's Celery app: the task that its orders become is the test's, and there is another that it can send."""

from collections.abc import Callable
from typing import Any

from celery import Celery
from pydantic import BaseModel

from ferry_shared.routes import Route
from ferry_worker import track

TASK = "handleOrder"


class Order(BaseModel):
    """A message."""

    number: int


ROUTES = [Route("orders", Order, TASK, "orders-queue")]


def app_with(function: Callable[..., Any], *, backend: str | None = None, **options: Any) -> Any:
    """The app, tracked, on servers that don't exist; `function` becomes its task, `options` are the task's."""
    app = Celery("shop", broker="redis://broker.invalid/0", backend=backend, set_as_current=False)
    track(app)
    function.__name__ = "handle"  # Celery makes a class of that name
    app.task(shared=False, name=TASK, **options)(function)
    app.task(shared=False, name="sendMail")(send_mail)
    return app


def send_mail(*arguments: Any, to: str = "") -> None:
    """Stand for a task that other tasks send."""
