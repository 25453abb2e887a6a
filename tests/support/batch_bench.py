"""One task, the ledger of a topic whose messages become it in batches, and a pool process that runs these."""

import time
from collections.abc import Callable
from typing import Any, Self

import orjson
from celery import Celery

from ferry_shared.ledger.client import connect
from ferry_worker import track
from ferry_worker.configuration import worker_settings
from tests.integration.worker_harness import Partition
from tests.support.pool_process import PoolProcess

TASK = "shop.order"


class BatchBench:
    """Without a worker around: what its parent process does is left out."""

    def __init__(self, redis_url: str, function: Callable[..., Any], *, app: Celery | None = None, **options: Any):
        """`options` are the task's; results are kept unless they say otherwise."""
        worker_settings.cache_clear()
        self.app = app or Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
        if app is None:
            track(self.app)
        function.__name__ = "task"  # Celery makes a class of that name
        self.task: Any = self.app.task(function, name=TASK, shared=False, **options)
        self.process = PoolProcess(self.app, redis_url)
        self.client = connect(redis_url)
        self.partition = Partition(self.client, TASK)
        self.partition.acquire()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.close()
        worker_settings.cache_clear()

    def run(self, *values: Any) -> str:
        """Dispatch these values as one batch and run it; returns Celery's state of the batch."""
        self.partition.dispatch_batch(*map(orjson.dumps, values))
        return self.process.run_next()

    def result(self, offset: int) -> tuple[str, Any]:
        """State and value that any client finds of a message."""
        found: Any = self.app.AsyncResult(f"orders-0-{offset}")
        return found.state, found.result

    @property
    def ends(self) -> dict[str, str]:
        """Of each entry that is left: its error, `retry` while it waits for its next attempt, else `queued`."""
        kinds = {}
        for member in self.partition.entries:
            state = self.partition.state(member)
            kinds[member] = state.get("error") or ("retry" if "due" in state else "queued")
        return kinds

    def delay_ms(self, offset: int) -> float:
        """How long a message still waits for its next attempt."""
        due: float = self.partition.state(str(offset))["due"]
        return due - time.time() * 1000

    def next_attempt(self, offset: int) -> tuple[int, list[Any], dict[str, Any]]:
        """What the ledger stores of it: retries, arguments (the message as a value) and keyword arguments."""
        stored = orjson.loads(self.partition.payload(str(offset)))
        (payload, *more), kwargs, _ = orjson.loads(stored["body"])
        return stored["retries"], [orjson.loads(payload), *more], kwargs
