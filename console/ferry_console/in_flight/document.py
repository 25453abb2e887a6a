"""What is in flight as one JSON object, for programs. docs/operate.md explains each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_console.moments import moment_text
from ferry_console.trace.document import moment_or_null
from ferry_console.trace.text import attempt_of

if TYPE_CHECKING:
    from ferry_console.in_flight.flights import Flight, InFlight


def document(answer: InFlight) -> dict[str, Any]:
    """All of it; seconds are numbers, moments ISO 8601 in UTC, what isn't known is null."""
    return {
        "group": answer.group,
        "at": moment_text(answer.at_ms),
        "partitions": answer.partitions,
        "in_flight": answer.total,
        "more": answer.more,
        "warnings": list(answer.warnings),
        "entries": [_entry(flight) for flight in answer.found],
    }


def _entry(flight: Flight) -> dict[str, Any]:
    task_id, state = flight.task_id, flight.state
    return {
        "task_id": task_id.text,
        "topic": task_id.topic,
        "partition": task_id.partition,
        "offset": task_id.first,
        "messages": flight.messages,
        "progress": state.progress,
        "state": str(flight.stage),
        "age_seconds": flight.age_seconds,
        "dispatched": moment_or_null(flight.dispatched_ms),
        "enqueued": moment_or_null(state.enqueued_ms or None),
        "attempt": attempt_of(state),
        "starts": state.claims,
        "deliveries": state.deliveries,
        "owner": state.owner,
        "claimed": moment_or_null(state.claimed_ms),
        "claim_until": moment_or_null(state.lease_ms if state.owner else None),
        "retry_due": moment_or_null(state.due_ms),
        "error": state.error,
    }
