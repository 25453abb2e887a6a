"""Dead letters as JSON objects, for programs. docs/dead_letters.md explains each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_console.dead_letters.letters import letter_of, split
from ferry_console.dead_letters.text import notes, warnings
from ferry_console.trace.document import moment_or_null, text_or_null

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferry_console.dead_letters.letters import Letter
    from ferry_console.dead_letters.reading import LetterList
    from ferry_shared.record import Record


def list_document(answer: LetterList) -> dict[str, Any]:
    """The list; moments are ISO 8601 in UTC, what isn't known is null."""
    return {
        "topics": list(answer.topics),
        "absent_topics": list(answer.absent),
        "more": answer.more,
        "read": answer.read,
        "complete": answer.complete,
        "warnings": warnings(answer),
        "dead_letters": [_letter(letter) for letter in answer.found],
    }


def show_document(task_id: str, records: Iterable[Record], *, complete: bool, missing: Sequence[str]) -> dict[str, Any]:
    """All dead letters of one id, with their content; bytes are text, what isn't UTF-8 as `\\xff`."""
    return {
        "id": task_id,
        "complete": complete,
        "missing": list(missing),
        "dead_letters": [_whole(record) for record in records],
    }


def _letter(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "task_id": letter.task_id,
        "topic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.offset,
        "written": moment_or_null(letter.written_ms),
        "reason": letter.reason,
        "error": letter.error,
        "group": letter.group,
        "deliveries": letter.deliveries,
        "origin": {
            "topic": letter.origin.topic,
            "partition": letter.origin.partition,
            "offset": letter.origin.offset,
            "timestamp": moment_or_null(letter.origin.timestamp_ms),
        },
        "reconstructed": letter.reconstructed,
        "omitted": dict(letter.omitted),
    }


def _whole(record: Record) -> dict[str, Any]:
    letter, (own, added) = letter_of(record), split(record.headers)
    return _letter(letter) | {
        "notes": list(notes(letter)),
        "key": text_or_null(record.key),
        "headers": [[name, text_or_null(value)] for name, value in own],
        "added_headers": [[name, text_or_null(value)] for name, value in added],
        "value": text_or_null(record.value),
    }
