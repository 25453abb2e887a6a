"""What becomes of each message of a batch: noted here while it runs, recorded with the batch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ferry_shared.ledger.singles import FailedSingle, RetriedSingle
from ferry_shared.record import Origin, TaskId, group_suffix
from ferry_shared.stored_retry import StoredRetry
from ferry_shared.task_message import body_of
from ferry_worker.attempt import HAND_BACK_DELAY_SECONDS, error_text, payload_bytes
from ferry_worker.tracebacks import forget_tracebacks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_shared.ledger.singles import Single
    from ferry_shared.ledger.worker_ledger import TaskHeader


@dataclass(slots=True)
class BatchedMessage:
    """One message of a batch, as an attempt to run it; `batch` is the header that it came with.

    `single` is how it goes on by itself; None once it has run well. `recorded` as soon as that is decided: it is set
    last, for a soft time limit can strike between any two statements.
    """

    batch: TaskHeader
    task_id: str
    offset: int
    timestamp_ms: int | None
    payload: Any
    recorded: bool = False
    single: Single | None = None

    @property
    def origin(self) -> Origin:
        """Where it comes from, for the model that is built from it."""
        batch = self.batch
        task_id = TaskId(batch.group, batch.topic, batch.partition, self.offset, self.offset)
        return Origin(task_id, self.timestamp_ms)

    def done(self) -> None:
        """It ran."""
        self.single = None
        self.recorded = True

    def fail(self, error: str, payload: bytes) -> None:
        """It failed for good."""
        self.single = FailedSingle(self.offset, error, payload)
        self.recorded = True

    def retry(self, delay_ms: int, message: bytes) -> None:
        """It is to run again after `delay_ms`: `message` is a StoredRetry."""
        self.single = RetriedSingle(self.offset, delay_ms, message)
        self.recorded = True

    def put_off(self) -> None:
        """It has no outcome here: the task rejected it, or the batch's time was up."""
        again = StoredRetry(body_of(payload_bytes(self.payload)), self.timestamp_ms, retries=0)
        self.retry(int(HAND_BACK_DELAY_SECONDS * 1000), again.to_bytes())


def messages_of(batch: TaskHeader, payloads: Sequence[Any]) -> list[BatchedMessage]:
    """The messages of a batch, in order; `payloads` are as many as its offsets."""
    return [
        BatchedMessage(batch, *told)
        for told in zip(task_ids_of(batch), batch.offsets, batch.timestamps_ms, payloads, strict=True)
    ]


def task_ids_of(header: TaskHeader) -> list[str]:
    """The ids of the messages that a header stands for, one or several, in order."""
    if not header.offsets:
        return [header.task_id.text]
    # A whole TaskId for each takes several times as long.
    stem, suffix = f"{header.topic}-{header.partition}-", group_suffix(header.group)
    return [f"{stem}{offset}{suffix}" for offset in header.offsets]


@dataclass(slots=True)
class BatchedList:
    """Several messages of a batch, as one attempt of a task that takes a list of them.

    `items` are those that the task gets: what doesn't fit its parameter is among `failed` before. So is, after the
    call, what the task reports.
    """

    items: list[BatchedMessage]
    failed: list[tuple[BatchedMessage, Exception]] = field(default_factory=list)
    recorded: bool = False
    #: Each message of a retry has its own.
    timestamp_ms: ClassVar[int | None] = None

    def fail_item(self, item: BatchedMessage, reason: Exception) -> None:
        """One has failed, the others may run."""
        item.fail(error_text(reason), payload_bytes(item.payload))
        # Its frames hold this list.
        forget_tracebacks(reason)
        self.failed.append((item, reason))

    def fail_those(self, reasons: Mapping[int, Exception]) -> None:
        """Some have failed, as the task says; the others ran."""
        for index, item in enumerate(self.items):
            if index in reasons:
                self.fail_item(item, reasons[index])
            else:
                item.done()
        self.recorded = True

    def done(self) -> None:
        """All of them ran."""
        self.fail_those({})

    def retry(self, delay_ms: int, message: bytes) -> None:
        """All of them are to run again after `delay_ms`, each by itself: `message` is a StoredRetry of all."""
        stored = cast("StoredRetry", StoredRetry.parse(message))
        (_, *more), kwargs, embedded = json.loads(stored.body)
        for item in self.items:
            body = json.dumps([[item.payload, *more], kwargs, embedded]).encode()
            item.retry(delay_ms, StoredRetry(body, item.timestamp_ms, stored.retries).to_bytes())
        self.recorded = True
