"""Takes messages for a task that the worker's app doesn't know; those that are not Ferry's are Celery's affair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import bootsteps

from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker.unrunnable import Teller, Unrunnable


@dataclass(slots=True)
class UnknownTask:
    """The way to take a message for one such task."""

    consumer: Any
    task: str
    tellers: dict[str, Teller]

    def __call__(self, message: Any, payload: Any, *_: Any) -> None:
        """Take it."""
        fields = message.headers.get(HEADER)
        if fields is None:
            self.consumer.on_unknown_task(payload, message, KeyError(self.task))
            return
        teller = self.tellers.setdefault(self.task, Teller(self.task, Obstacle.UNKNOWN))
        Unrunnable(self.consumer.app, self.consumer, teller).take(message, fields)


class Strategies(dict[str, Any]):
    """A worker's ways to take messages, by task."""

    def __init__(self, consumer: Any) -> None:
        super().__init__()
        self._consumer = consumer
        self._tellers: dict[str, Teller] = {}

    def __missing__(self, task: str) -> UnknownTask:
        return UnknownTask(self._consumer, task, self._tellers)


class UnknownTasks(bootsteps.Step):
    """Gives a worker those `Strategies`."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.strategies = Strategies(consumer)
