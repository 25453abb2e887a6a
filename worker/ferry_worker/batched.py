"""What becomes of each message of a batch: noted here while it runs, recorded with the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.singles import FailedSingle, RetriedSingle
from ferry_shared.record import Origin
from ferry_shared.stored_retry import StoredRetry
from ferry_shared.task_message import body_of
from ferry_worker.attempt import HAND_BACK_DELAY_SECONDS, error_text, payload_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferry_shared.ledger.singles import Single
    from ferry_shared.ledger.worker_ledger import TaskHeader


@dataclass(slots=True)
class BatchedMessage:
    """One message of a batch, as an attempt to run it. The claim is the batch's.

    `single` is how it goes on by itself; None once it has run well. `recorded` as soon as that is decided.
    """

    header: TaskHeader
    payload: Any
    recorded: bool = False
    single: Single | None = None
    shares_time_limit: bool = True

    @property
    def offset(self) -> int:
        """Where it is in its partition."""
        return int(self.header.member)

    @property
    def task_id(self) -> str:
        """Its own id."""
        return self.header.task_id.text

    @property
    def origin(self) -> Origin:
        """Where it comes from, for the model that is built from it."""
        return Origin(self.header.task_id, self.header.timestamp_ms)

    def claim(self, lease_ms: int, payload: bytes, *, restored: bool) -> None:
        """Its batch is claimed."""

    def done(self) -> None:
        """It ran."""
        self.recorded, self.single = True, None

    def fail(self, error: str, payload: bytes) -> None:
        """It failed for good."""
        self.recorded, self.single = True, FailedSingle(self.offset, error, payload)

    def retry(self, delay_ms: int, message: bytes) -> None:
        """It is to run again after `delay_ms`."""
        self.recorded, self.single = True, RetriedSingle(self.offset, delay_ms, message)

    def put_off(self) -> None:
        """It has no outcome here: the task rejected it, or the batch's time was up."""
        self.retry(int(HAND_BACK_DELAY_SECONDS * 1000), self.next_attempt(0))

    def next_attempt(self, retries: int) -> bytes:
        """What the ledger stores of an attempt with the same payload."""
        body = body_of(payload_bytes(self.payload))
        return StoredRetry(body, self.header.timestamp_ms, retries).to_bytes()


@dataclass(slots=True)
class BatchedList:
    """Several messages of a batch, as one attempt of a task that takes a list of them.

    `items` are those that the task gets: what doesn't fit its parameter fails before.
    """

    header: TaskHeader
    items: list[BatchedMessage]
    recorded: bool = False
    shares_time_limit: bool = True

    def claim(self, lease_ms: int, payload: bytes, *, restored: bool) -> None:
        """Its batch is claimed."""

    def done(self) -> None:
        """All of them ran."""
        self.recorded = True
        for item in self.items:
            item.done()

    def fail_those(self, reasons: Mapping[int, Exception]) -> None:
        """Some have failed, as the task says; the others ran."""
        for index, item in enumerate(self.items):
            if index in reasons:
                item.fail(error_text(reasons[index]), payload_bytes(item.payload))
            else:
                item.done()
        self.recorded = True

    def fail(self, error: str, payload: bytes) -> None:
        """Which of them is to blame isn't known: they go on one by one."""
        self.recorded = True

    def retry(self, delay_ms: int, message: bytes) -> None:
        """All of them are to run again after `delay_ms`, each by itself."""
        self.recorded = True
        stored = StoredRetry.parse(message)
        for item in self.items:
            item.retry(delay_ms, item.next_attempt(stored.retries if stored else 0))
