"""What can become of a message, as types to assert on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ferry_shared.errors import dead_letter_reason

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A Celery task that the task sent, instead of being sent: `delay`, `apply_async`, and the starts of a canvas.

    `eta` is when it is to run, as ISO 8601 text, None for at once. `then` names what follows it in a chain.
    """

    task: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    queue: str
    eta: str | None = None
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """No task was made of it: the consumer writes a dead letter. `error` is that letter's, `reason: detail`."""

    error: str

    @property
    def reason(self) -> str:
        """The dead letter's header `ferry.reason`: `empty`, `too-large`, `not-json` or `invalid`."""
        return dead_letter_reason(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A task was made of it. `message` is what its function got: None where the value doesn't fit its annotation."""

    task_id: str
    queue: str
    message: Any
    sent: tuple[Sent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(_Run):
    """The task has ended well: the offset can be committed. `result` is what it returned."""

    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Run):
    """The task has failed for good: the consumer writes a dead letter, with this `error`.

    `exception` is what the task raised; after the last retry what `retry` raised in its place.
    """

    error: str
    exception: BaseException

    @property
    def reason(self) -> str:
        """The dead letter's header `ferry.reason`: the exception's name."""
        return dead_letter_reason(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(_Run):
    """The task is to run again after `countdown_seconds`, as attempt number `retries` after the first.

    `args` and `kwargs` are what that attempt is called with: first the message as plain JSON, changed or not.
    `exception` is why, where `retry(exc=…)` or `autoretry_for` names it.
    """

    countdown_seconds: float
    retries: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    exception: BaseException | None
    next_attempt: Callable[[], Outcome] = field(repr=False, compare=False)

    def run_again(self) -> Outcome:
        """Run that attempt, without the wait."""
        return self.next_attempt()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued(_Run):
    """The task gave its message back to the queue (`Reject(requeue=True)`): it runs again at once, elsewhere maybe.

    After `WORKER_MAX_CLAIMS` starts it becomes a dead letter.
    """

    reason: str


Outcome: TypeAlias = Invalid | Done | Failed | Retried | Requeued
