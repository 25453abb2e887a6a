"""A retry that the ledger keeps: the consumer queues its message when it is due.

Celery's own retry publishes a copy and then acknowledges: killed in between, two copies go on; and a delay beyond the
visibility timeout comes back for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.utils import json as kombu_json

from ferry_shared.stored_retry import StoredRetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferry_worker.attempt import Attempt
    from ferry_worker.batched import BatchedList, BatchedMessage

#: kombu's serialisation, by which a worker reads it again (dates and the like keep their type).
_json_text: Callable[[Any], str] = kombu_json.dumps


@dataclass(frozen=True, slots=True)
class LedgerRetry:
    """Stands where Celery expects a signature: `apply_async` records the retry instead of publishing it."""

    attempt: Attempt | BatchedMessage | BatchedList
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    embedded: dict[str, Any]
    retries: int
    delay_ms: int

    @classmethod
    def of(cls, task: Any, request: Any, *, args: Any, kwargs: Any, options: Mapping[str, Any]) -> LedgerRetry:
        """Put together the next attempt; `args` and `kwargs` are what `retry()` was given, None for unchanged."""
        attempt: Attempt | BatchedMessage | BatchedList = request.ferry_attempt
        wire_args, wire_kwargs = _wire_form(task, request, args, kwargs)
        embedded = {name: getattr(request, name) for name in ("callbacks", "errbacks", "chain", "chord")}
        delay_ms = _delay_ms(options.get("countdown"), options.get("eta"), task.app.timezone)
        return cls(attempt, wire_args, wire_kwargs, embedded, options["retries"], delay_ms)

    @property
    def message(self) -> bytes:
        """What the ledger stores: the next Celery message's body, as text, and what its headers take over."""
        body = _json_text([self.args, self.kwargs, self.embedded]).encode()
        return StoredRetry(body, self.attempt.timestamp_ms, self.retries).to_bytes()

    def apply_async(self) -> None:
        """Record the retry."""
        self.attempt.retry(self.delay_ms, self.message)


def _wire_form(task: Any, request: Any, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as a message carries them: first the payload's JSON text, whatever was passed for it."""
    wire_args = tuple(request.args if args is None else args)
    wire_kwargs = dict(request.kwargs if kwargs is None else kwargs)
    parameter = task.message_parameter
    if not wire_args and parameter.name in wire_kwargs:
        wire_args = (wire_kwargs.pop(parameter.name),)
    # Only the very object that came with the message is JSON text already; an equal one may be a str parameter's value.
    if wire_args and not (request.args and wire_args[0] is request.args[0]):
        wire_args = (parameter.encode(wire_args[0]), *wire_args[1:])
    return wire_args, wire_kwargs


def _delay_ms(countdown: float | None, eta: Any, timezone: Any) -> int:
    if countdown or eta is None:
        return max(0, int((countdown or 0) * 1000))
    moment: datetime = maybe_make_aware(maybe_iso8601(eta), timezone)
    return max(0, int((moment - datetime.now(UTC)).total_seconds() * 1000))
