"""Tasks for the tests of batches with real workers; each tells what it ran, in which process and when it began."""

import os
import signal
import time
from typing import Any

from pydantic import BaseModel

from ferry_worker import FailedMessages
from tests.integration.worker_tasks import task, tell, wait_for_release


class Order(BaseModel):
    """A message: what is to be done with it."""

    number: int
    deed: str = "return"
    seconds: float = 0.0


def run(self: Any, order: Order) -> None:
    """Do it."""
    tell(f"{order.number} {self.request.id} {os.getpid()} {time.monotonic()}")
    if order.deed == "raise":
        raise LookupError(f"no order {order.number}")
    if order.deed == "retry":
        raise self.retry(countdown=3600)
    if order.deed == "hang":
        # Nothing that Python does ends it earlier.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    if order.deed == "wait":
        wait_for_release()
    time.sleep(order.seconds)


task(name="tests.batched", bind=True)(run)


@task(name="tests.limited", bind=True, time_limit=2, soft_time_limit=2)
def run_within_two_seconds(self: Any, order: Order) -> None:
    """The same under a hard limit."""
    run(self, order)


@task(name="tests.softly_limited", bind=True, time_limit=10, soft_time_limit=2)
def run_with_a_soft_limit(self: Any, order: Order) -> None:
    """The same under a soft limit."""
    run(self, order)


@task(name="tests.listed", bind=True, takes_list=True)
def insert(self: Any, orders: list[Order]) -> FailedMessages:
    """Take all of them at once; those that are to raise are reported."""
    tell(f"{len(orders)} {self.request.id} {os.getpid()} {time.monotonic()}")
    return FailedMessages({index: "no such order" for index, order in enumerate(orders) if order.deed == "raise"})
