"""`ferry trace ID`: what the ledger, the record and the dead letters say of one message."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from ferry_shared.errors import TransientError
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.entry_view import EntryView, view
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.logs import printable
from ferry_shared.record import Record, TaskId, TopicPartition
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK, EXIT_NOT_FOUND, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3
READ_TIMEOUT_SECONDS = 5.0
SHOWN_CHARACTERS = 2_000


class TraceArguments(Protocol):
    """What the command line gives."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known. `dead_letters` are the records of the dead-letter topic with this task id."""

    task_id: TaskId
    entry: EntryView
    record: Record | None
    dead_letters: Sequence[Record]


def main(arguments: TraceArguments) -> int:
    """Print the trace; the exit code says whether there is a message of that id (0), or not (1)."""
    try:
        task_id = TaskId.parse(arguments.task_id)
    except ValueError as error:
        print(f"ferry: {error}, such as messages-0-42", file=sys.stderr)
        return EXIT_USAGE
    try:
        trace = find(task_id, load(ConsumerSettings))
    except TransientError as error:
        print(f"ferry: {error}", file=sys.stderr)
        return EXIT_UNREACHABLE
    print("\n".join(lines(trace)))
    return EXIT_OK if trace.record or trace.entry.in_flight or trace.dead_letters else EXIT_NOT_FOUND


def find(task_id: TaskId, settings: ConsumerSettings) -> Trace:
    """Ask Redis and Kafka.

    Raises:
        KafkaUnavailable, RedisUnavailable: one of them did not answer.
    """
    from ferry_consumer.dead_letters import TASK_ID_HEADER  # noqa: PLC0415 - other services are imported when needed
    from ferry_consumer.record_reader import RecordReader  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

    place = TopicPartition(task_id.topic, task_id.partition)
    keys = LedgerKeys.of(settings.ferry_key_prefix, task_id.group, place)
    entry = view(connect(settings.ledger_url), keys, str(task_id.first))
    reader = RecordReader(settings)
    try:
        record = reader.read(place, [task_id.first], READ_TIMEOUT_SECONDS).get(task_id.first)
        wanted = (TASK_ID_HEADER, task_id.text.encode())
        dead_letter_topic = task_id.topic + settings.consumer_dead_letter_suffix
        letters = [
            letter for letter in reader.read_all(dead_letter_topic, READ_TIMEOUT_SECONDS) if wanted in letter.headers
        ]
    finally:
        reader.close()
    return Trace(task_id, entry, record, letters)


def lines(trace: Trace) -> list[str]:
    """Tell it to people; text that came with the message can't act on the terminal."""
    told = [f"{trace.task_id.text}: {state(trace)}"]
    if trace.record is not None:
        told += _record_lines(trace.record)
    for letter in trace.dead_letters:
        told.append(f"  dead letter at {letter.topic}-{letter.partition}-{letter.offset}")
        told += _header_lines(letter)
    return told


def state(trace: Trace) -> str:
    """Where the message is, in a few words."""
    offset, head, entry = trace.task_id.first, trace.entry.head, trace.entry.state
    if trace.dead_letters:
        return "dead letter"
    if trace.entry.in_flight:
        return _in_flight_state(trace.entry)
    if not head:
        return "no ledger: no consumer of this group has taken up the partition"
    if offset >= int(head.get("position", 0)):
        return "in Kafka, not yet dispatched" if trace.record else "not in Kafka"
    return f"done (everything below offset {head.get('committed', '?')} is committed)" if not entry else "done"


def _in_flight_state(entry: EntryView) -> str:
    fields, now_ms = entry.state, entry.server_now_ms
    if fields.get("error"):
        return f"failed, its dead letter is being written: {printable(fields['error'])}"
    if fields.get("due"):
        return f"waiting for its retry, due in {max(0, fields['due'] - now_ms) / 1000:.1f} s (token {fields['token']})"
    if fields.get("owner") and fields["lease"] > now_ms:
        return (
            f"running, start {fields['claims']} (its claim holds for another {(fields['lease'] - now_ms) / 1000:.0f} s)"
        )
    return "in flight: queued, or taken by a worker and not yet started"


def _record_lines(record: Record) -> list[str]:
    when = "no timestamp"
    if record.timestamp_ms is not None:
        when = _moment(record.timestamp_ms)
    value = "(none)" if record.value is None else _shown(record.value)
    key = [f"  key        {_shown(record.key)}"] if record.key is not None else []
    return [f"  sent       {when}", *key, f"  value      {value}", *_header_lines(record)]


def _header_lines(record: Record) -> list[str]:
    return [f"  header     {printable(name)} = {_shown(value or b'')}" for name, value in record.headers]


def _moment(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms since 1970"


def _shown(value: bytes) -> str:
    text = printable(value.decode("utf-8", "backslashreplace"))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(value)} bytes)"
