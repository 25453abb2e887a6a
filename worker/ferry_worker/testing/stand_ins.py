"""What stands for Redis while a message is tried: a ledger that notes the outcome, a broker that notes what is sent."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from celery.app.backends import by_url
from kombu.serialization import dumps, loads

from ferry_shared.ledger.worker_ledger import Claimed, Recorded, TaskHeader, Verdict, WorkerLedger
from ferry_worker.payload import MessageParameter
from ferry_worker.testing.outcomes import Sent
from ferry_worker.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ferry_shared.ledger.singles import Single
    from ferry_shared.record import Origin
    from ferry_shared.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run of a task told: `ended` is what it recorded in the ledger, with its arguments; None for nothing.

    `messages`: by task id, what the function got. `singles`: by offset, how messages of a batch go on.
    """

    messages: dict[str, Any] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    recorded: list[tuple[Any, ...]] = field(default_factory=list)
    singles: dict[int, Single] = field(default_factory=dict)

    @property
    def ended(self) -> tuple[Any, ...] | None:
        """The name of the ledger's call and its arguments."""
        return self.recorded[-1] if self.recorded else None


@contextmanager
def without_servers(app: Any, task: Any, settings: WorkerSettings) -> Iterator[Trial]:
    """Let `task` run on stand-ins, and note what it does; they are put into the app and the task, so one at a time."""
    trial = Trial()
    tracking = _StandInTracking(settings, "", _NotingLedger(trial))
    own = task.message_parameter
    parameter = _NotingParameter(own.name, own.adapter, own.takes_list, trial)
    with (
        patch.multiple(task, _tracking=lambda: tracking, message_parameter=parameter),
        patch.object(app.amqp, "send_task_message", _NotingBroker(app, trial)),
        patch.object(app, "_backend_cache", _result_backend(app)),
    ):
        yield trial


@dataclass(frozen=True, slots=True)
class _StandInTracking(Tracking):
    ledger: WorkerLedger

    @property
    def pool_ledger(self) -> WorkerLedger:
        return self.ledger


class _NotingLedger(WorkerLedger):
    """Every task may run, and every outcome is taken."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def claim(self, task: TaskHeader, owner: str, *, lease_ms: int, max_claims: int, restored: bool = False) -> Claimed:
        return Claimed(Verdict.RUN, 1)

    def progress(self, batch: TaskHeader, owner: str, done_up_to: int | None, singles: Iterable[Single]) -> Recorded:
        self._trial.singles.update({single.offset: single for single in singles})
        return Recorded.RECORDED

    def split(self, batch: TaskHeader, owner: str, queue: str, priority: int, singles: Iterable[Single]) -> Recorded:
        return self.progress(batch, owner, None, singles)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _recorded(self, name: str, task: TaskHeader, owner: str, *arguments: str | bytes | int) -> Recorded:
        self._trial.recorded.append((name, *arguments))
        return Recorded.RECORDED


@dataclass(frozen=True, slots=True)
class _NotingParameter(MessageParameter):
    trial: Trial = field(default_factory=Trial)

    def decode(self, payload: Any, origin: Origin) -> Any:
        message = MessageParameter.decode(self, payload, origin)
        self.trial.messages[origin.task_id.text] = message
        return message


@dataclass(frozen=True, slots=True)
class _NotingBroker:
    """Takes the place of `app.amqp.send_task_message`: everything that Celery sends goes through that."""

    app: Any
    trial: Trial

    def __call__(
        self,
        _producer: Any,
        name: str,
        message: Any,
        queue: Any = None,
        routing_key: str | None = None,
        serializer: str | None = None,
        **_: Any,
    ) -> None:
        # By way of the wire: what a worker would get, and the same error for what can't be sent.
        content_type, encoding, text = dumps(message.body, serializer or self.app.conf.task_serializer)
        args, kwargs, embedded = loads(text, content_type, encoding, accept={content_type})
        self.trial.sent.append(
            Sent(
                task=name,
                args=tuple(args),
                kwargs=kwargs,
                queue=getattr(queue, "name", queue) or routing_key or self.app.conf.task_default_queue,
                eta=message.headers["eta"],
                then=tuple(signature["task"] for signature in reversed(embedded["chain"] or ())),
            )
        )


def _result_backend(app: Any) -> Any:
    """Results stay in memory, and go with the trial; an app that keeps none keeps none here."""
    if not (app.backend_cls or app.conf.result_backend):
        return app.backend
    backend_class, url = by_url("cache+memory://", app.loader)
    backend = backend_class(app=app, url=url)
    # Celery's own memory is one for the whole process.
    backend.client.cache = {}
    return backend
