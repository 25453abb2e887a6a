"""Dead letters as lines for people; text that came with them can't act on the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ferry_console.columns import columns, shortened
from ferry_console.dead_letters.letters import letter_of, split
from ferry_console.moments import age_text, moment_text
from ferry_console.trace.text import labelled, shown
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.dead_letters.letters import Letter
    from ferry_console.dead_letters.reading import LetterList
    from ferry_shared.record import Record

_HEADINGS = ("id", "written", "reason", "error")
#: In the list an error is told by its beginning; `show` has it whole.
SHOWN_ERROR_CHARACTERS = 120
#: A larger value is not laid out as JSON, but shown by its beginning.
LAID_OUT_BYTES = 100_000


def heading(answer: LetterList) -> str:
    """How many follow, and of which topics."""
    shown_count = len(answer.found)
    of = f" of {', '.join(answer.topics)}" if answer.topics else ""
    if not shown_count:
        return printable(f"no dead letters{of} that are asked for")
    if answer.more:
        return printable(f"the {shown_count:,} newest dead letters{of} that are asked for (more: --limit)")
    return printable(f"{shown_count:,} dead letter{'' if shown_count == 1 else 's'}{of}, newest first")


def absent_line(topics: Sequence[str]) -> str:
    """Say that these dead-letter topics aren't there."""
    return f"there is no topic {', '.join(topics)}: nothing has failed there yet, or it is misspelt"


def warnings(answer: LetterList) -> list[str]:
    """What one should know about the list, as sentences."""
    found = []
    if answer.absent:
        found.append(absent_line(answer.absent))
    if not answer.complete:
        found.append(
            f"the search was cut short after {answer.read:,} records, so dead letters can be missing from the list: "
            "raise --timeout, or ask for less by --topic, --since and --until"
        )
    return found


def table(answer: LetterList) -> list[str]:
    """A row a dead letter under headings; nothing where there are none."""
    return columns([_HEADINGS, *map(_cells, answer.found)], frozenset(_HEADINGS)) if answer.found else []


def _cells(letter: Letter) -> tuple[str, ...]:
    return (
        letter.id,
        "-" if letter.written_ms is None else moment_text(letter.written_ms),
        letter.reason or "-",
        shortened(letter.detail, SHOWN_ERROR_CHARACTERS),
    )


def letter_lines(record: Record, now_ms: int) -> list[str]:
    """One dead letter, whole: why, where from, and what was in it."""
    letter = letter_of(record)
    own, _ = split(record.headers)
    told = [f"{letter.id}: {letter.reason or 'a dead letter that Ferry has not written'}"]
    told += [labelled("error", letter.detail)] if letter.error else []
    told += [labelled("written", f"{_when(letter.written_ms, now_ms)}, as {letter.place}-{letter.offset}")]
    told += _origin(letter, now_ms)
    told += [labelled("note", sentence) for sentence in notes(letter)]
    told += [labelled("key", shown(record.key))] if record.key is not None else []
    told += [labelled("header", f"{name} = {'(none)' if value is None else shown(value)}") for name, value in own]
    return [printable(line) for line in (*told, *_value(record.value))]


def notes(letter: Letter) -> Iterator[str]:
    """What of it isn't as it was sent, as sentences."""
    if letter.reconstructed:
        yield "Kafka no longer had the record: the value is what the task was called with, key and headers are lost"
    for part, size in letter.omitted:
        yield (
            f"its {part} ({size}) did not fit into {letter.place.topic}: it is in Kafka at its origin until retention "
            "deletes it"
        )


def _origin(letter: Letter, now_ms: int) -> Iterator[str]:
    origin = letter.origin
    if origin.topic is not None:
        place = "-".join(str(part) for part in (origin.topic, origin.partition, origin.offset) if part is not None)
        sent = "" if origin.timestamp_ms is None else f", sent {_when(origin.timestamp_ms, now_ms)}"
        yield labelled("origin", f"{place}{sent}")
    if letter.group is not None:
        queued = "" if letter.deliveries is None else f", queued {letter.deliveries} times"
        yield labelled("group", f"{letter.group}{queued}")


def _when(moment_ms: int | None, now_ms: int) -> str:
    if moment_ms is None:
        return "at no known time"
    ago = f" ({age_text((now_ms - moment_ms) / 1000)} ago)" if moment_ms <= now_ms else ""
    return f"{moment_text(moment_ms)}{ago}"


def _value(value: bytes | None) -> list[str]:
    if value is None:
        return [labelled("value", "(none)")]
    laid_out = _laid_out(value)
    if laid_out is None:
        return [labelled("value", shown(value))]
    first, *rest = laid_out.split("\n")
    return [labelled("value", first), *(labelled("", line) for line in rest)]


def _laid_out(value: bytes) -> str | None:
    """JSON with line breaks; None for what isn't JSON, or would not be the same."""
    if len(value) > LAID_OUT_BYTES:
        return None
    try:
        document = json.loads(
            value.decode(), object_pairs_hook=_object, parse_int=_exact_int, parse_float=_exact, parse_constant=_exact
        )
        return json.dumps(document, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _exact(text: str) -> float:
    number = float(text)
    if repr(number) != text:
        raise ValueError("it would be shown as another text")
    return number


def _exact_int(text: str) -> int:
    number = int(text)
    if str(number) != text:
        raise ValueError("it would be shown as another text")
    return number
