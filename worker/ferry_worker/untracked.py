"""Takes messages for a task that isn't tracked: what comes from Ferry is not run, the rest is taken as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.imports import instantiate

from ferry_shared.ledger.untracked import Obstacle
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker.unrunnable import Teller, Unrunnable

if TYPE_CHECKING:
    from collections.abc import Callable


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """The task's own way to take a message, for those that are not Ferry's."""
    take = instantiate(type(task).Strategy, task, app, consumer, **options)
    unrunnable = Unrunnable(app, consumer, Teller(task.name, Obstacle.UNTRACKED))

    def take_message(message: Any, *arguments: Any) -> Any:
        fields = message.headers.get(HEADER)
        return take(message, *arguments) if fields is None else unrunnable.take(message, fields)

    return take_message
