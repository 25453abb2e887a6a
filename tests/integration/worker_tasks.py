"""Tasks for the worker's tests. Each writes what it did as one line into the file that `FERRY_TEST_EVENTS` names."""

import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from celery.exceptions import Ignore, Reject
from pydantic import BaseModel

from ferry_worker.celery import app

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

log = logging.getLogger("celery.task.tests")


class Order(BaseModel):
    """A message of a user's own."""

    number: int
    note: str = ""


def task(**options: Any) -> Callable[[FunctionT], FunctionT]:
    """Celery's decorator, with a type."""
    decorator: Callable[[FunctionT], FunctionT] = app.task(**options)
    return decorator


def tell(event: str) -> None:
    """Append a line; one `write` in append mode is not torn apart by another process's."""
    with Path(os.environ["FERRY_TEST_EVENTS"]).open("a", encoding="utf-8") as events:
        events.write(event + "\n")


def wait_for_release() -> None:
    """Wait until the file `release` lies beside the events."""
    released = Path(os.environ["FERRY_TEST_EVENTS"]).with_name("release")
    while not released.exists():
        time.sleep(0.02)


@task(name="tests.order")
def handle_order(order: Order) -> None:
    """Succeed."""
    log.info("order taken")
    tell(f"order {type(order).__name__} {order.number}")


@task(name="tests.plain")
def handle_plain(value, factor=2):  # type: ignore[no-untyped-def]  # a task without annotations is what this one tests
    """Take the plain JSON value."""
    tell(f"plain {value!r} {factor}")


@task(name="tests.failing", bind=True)
def fail(self: Any, order: Order) -> None:
    """Raise."""
    tell(f"failing {self.request.id}")
    raise ValueError(f"no such order \ud800: {order.number}")


@task(name="tests.retrying", bind=True, max_retries=2)
def retry(self: Any, order: Order) -> None:
    """Ask to be run again, with changed arguments."""
    tell(f"retrying {order.number} {self.request.retries}")
    changed = Order(number=order.number + 1, note="again")
    raise self.retry(exc=ValueError("not yet"), countdown=3, args=(changed,))


@task(name="tests.postponing", bind=True)
def postpone(self: Any, order: Order) -> None:
    """Ask to be run again in an hour, with changed arguments: nobody who looks finds the next attempt."""
    raise self.retry(exc=ValueError("not today"), countdown=3600, args=(Order(number=order.number + 1),))


@task(name="tests.autoretrying", autoretry_for=(ConnectionError,), max_retries=1, default_retry_delay=7)
def autoretry(order: Order) -> None:
    """Raise what `autoretry_for` names."""
    tell(f"autoretrying {order.number}")
    raise ConnectionError("try later")


@task(name="tests.killed")
def kill_itself(order: Order) -> None:
    """Die like a process that runs out of memory."""
    tell(f"killed {order.number}")
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="tests.slow", time_limit=2, soft_time_limit=2)
def run_for_ever(order: Order) -> None:
    """Run into the hard limit; nothing that Python does ends it earlier."""
    tell(f"slow {order.number}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    time.sleep(60)


@task(name="tests.waiting")
def wait(order: Order) -> None:
    """Run until the file `release` lies beside the events."""
    tell(f"waiting {order.number}")
    wait_for_release()
    tell(f"waited {order.number}")


@task(name="tests.ending")
def end(how: str) -> None:
    """End in one of Celery's special ways."""
    tell(f"ending {how}")
    if how == "ignore":
        raise Ignore
    if how == "reject":
        raise Reject("no use", requeue=False)
    if how == "requeue":
        raise Reject("later", requeue=True)
    if how == "memory":
        raise MemoryError
    if how == "exit":
        raise SystemExit(3)
