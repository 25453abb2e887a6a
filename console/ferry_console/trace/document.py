"""What was found of one message as one JSON object, for programs. docs/operate.md explains each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_console.moments import moment_text
from ferry_console.trace.text import attempt_of, remarks

if TYPE_CHECKING:
    from ferry_console.trace.findings import Findings, KafkaView
    from ferry_shared.ledger.entry_view import EntryView
    from ferry_shared.record import Record


def document(findings: Findings) -> dict[str, Any]:
    """Everything; moments are ISO 8601 in UTC, what isn't known is null.

    Bytes are text as UTF-8 tells, what isn't UTF-8 as `\\xff`.
    """
    task_id, letters, queue = findings.task_id, findings.letters, findings.queue
    return {
        "task_id": task_id.text,
        "group": task_id.group,
        "topic": task_id.topic,
        "partition": task_id.partition,
        "offset": task_id.first,
        "state": findings.whereabouts.name.lower(),
        "told": str(findings.whereabouts),
        "remarks": list(remarks(findings)),
        "missing": list(findings.missing),
        "ledger": None if findings.entry is None else _ledger(findings.entry),
        "entry": None if findings.entry is None else _entry(findings.entry),
        "batch": _batch(findings),
        "ahead_in_queue": queue.ahead if queue else None,
        "kafka": None if findings.kafka is None else _kafka(findings.kafka),
        "dead_letters": None if letters is None else [_letter(letter) for letter in letters.found],
        "dead_letters_complete": None if letters is None else letters.complete,
    }


def _ledger(view: EntryView) -> dict[str, Any]:
    head = view.head
    return {
        "condition": str(view.condition),
        "position": head.position if head else None,
        "committed": head.committed if head else None,
        "dispatched": moment_or_null(view.dispatched_ms),
    }


def _entry(view: EntryView) -> dict[str, Any] | None:
    state = view.state
    if state is None:
        return None
    return {
        "member": view.member,
        "attempt": attempt_of(state),
        "token": state.token,
        "copy": state.copy,
        "starts": state.claims,
        "deliveries": state.deliveries,
        "enqueued": moment_or_null(state.enqueued_ms or None),
        "taken": view.taken,
        "claimed": moment_or_null(state.claimed_ms),
        "claim_until": moment_or_null(state.lease_ms if state.owner else None),
        "retry_due": moment_or_null(state.due_ms),
        "error": state.error,
        "stored": text_or_null(view.payload or None),
    }


def _batch(findings: Findings) -> dict[str, Any] | None:
    view, batch = findings.entry, findings.batch
    if view is None or view.state is None or batch is None:
        return None
    return {"task_id": batch.text, "messages": view.messages, "progress": view.state.progress}


def _kafka(view: KafkaView) -> dict[str, Any]:
    return {
        "log_start": view.log_start,
        "log_end": view.log_end,
        "record": None if view.record is None else _record(view.record),
    }


def _letter(letter: Record) -> dict[str, Any]:
    return {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset, **_record(letter)}


def _record(record: Record) -> dict[str, Any]:
    return {
        "timestamp": moment_or_null(record.timestamp_ms),
        "key": text_or_null(record.key),
        "value": text_or_null(record.value),
        "headers": [[name, text_or_null(value)] for name, value in record.headers],
    }


def moment_or_null(milliseconds: int | None) -> str | None:
    """A time since 1970 as ISO 8601 in UTC."""
    return None if milliseconds is None else moment_text(milliseconds)


def text_or_null(value: bytes | None) -> str | None:
    """Bytes as text, what isn't UTF-8 as `\\xff`."""
    return None if value is None else value.decode("utf-8", "backslashreplace")
