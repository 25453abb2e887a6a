"""What was found of one message, as lines for people; text that came with it can't act on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.moments import age_text, moment_text
from ferry_console.trace.findings import Whereabouts
from ferry_shared.ledger.keys import Token
from ferry_shared.logs import printable
from ferry_shared.replay import replay_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.trace.findings import Findings
    from ferry_shared.ledger.entry_view import EntryState, EntryView
    from ferry_shared.record import Record

SHOWN_CHARACTERS = 2_000
_LABEL_WIDTH = 12


def lines(findings: Findings) -> list[str]:
    """Everything, the answer first."""
    told = [f"{findings.task_id.text}: {answer(findings)}"]
    told += [labelled("", sentence) for sentence in remarks(findings)]
    told += _times(findings)
    if findings.entry is not None:
        told += _ledger(findings.entry)
        told += _batch(findings)
    if findings.kafka is not None and findings.kafka.record is not None:
        told += _record(findings.kafka.record)
    if findings.entry is not None and findings.entry.payload:
        told.append(labelled("stored", shown(findings.entry.payload)))
    if findings.letters is not None:
        for letter in findings.letters.found:
            told += _letter(letter)
    told += [labelled("missing", sentence) for sentence in findings.missing]
    return [printable(line) for line in told]


def answer(findings: Findings) -> str:
    """Where the message is, in one line."""
    where = findings.whereabouts
    detail = _detail(where, findings)
    return f"{where}{f' ({detail})' if detail else ''}"


def remarks(findings: Findings) -> Iterator[str]:
    """What one should know about that answer."""
    where, letters, entry = findings.whereabouts, findings.letters, findings.entry
    yield from _batch_remarks(findings)
    if where in {Whereabouts.DONE, Whereabouts.ENDED} and findings.batch is None:
        yield "the ledger forgets what has ended: that it has is known, when is not; the worker's log tells"
        yield "an offset that an operator, or the group's first start at the log's end, passed over looks the same"
    if where is Whereabouts.UNSEEN:
        yield "a worker may just be taking it; if it has vanished, the consumer queues it again"
    if where is Whereabouts.LEFT:
        yield "its claim is over without an outcome: the transport or the consumer brings it to another worker"
    if letters is not None and letters.found and where not in {Whereabouts.DEAD, Whereabouts.FAILED}:
        yield "it has a dead letter as well, of an earlier time: it was dispatched again since, or comes again"
    if (
        where is Whereabouts.DEAD
        and entry is not None
        and entry.head is not None
        and entry.head.fields.get("rewound", "0") != "0"
    ):
        yield "offsets of its partition were dispatched again at some time: it may have run since"
    record = findings.kafka.record if findings.kafka else None
    replayed = replay_of(record.headers, record.topic_partition, record.offset) if record else None
    if replayed is not None:
        passed_over = replayed.group != findings.task_id.group
        whose = f", for group {replayed.group}: this group passes it over" if passed_over else ""
        yield f"it is the dead letter {replayed.text}, sent again{whose}"
    if letters is not None and not letters.complete:
        yield (
            f"the search of the dead letters was cut short after {letters.read:,} records: there may be one of this"
            " message"
        )
    if entry is not None and entry.head is None:
        yield f"group {findings.task_id.group} has no ledger there: the id of another group ends in @GROUP"


def _batch_remarks(findings: Findings) -> Iterator[str]:
    if findings.whereabouts is Whereabouts.DONE and findings.batch is not None:
        yield "it is in a batch that goes on, and has run; the worker's log tells when"
    if findings.task_id.is_batch and findings.kafka is not None and findings.kafka.record is not None:
        yield "the record is its first message's; dead letters have the ids of single messages"


def _detail(where: Whereabouts, findings: Findings) -> str:
    entry, state = findings.entry, findings.entry.state if findings.entry else None
    if entry is None or state is None:
        return ""
    if where in {Whereabouts.RUNNING, Whereabouts.LEFT}:
        return _claim(state, entry.now_ms)
    if where in {Whereabouts.RETRYING, Whereabouts.DELAYED} and state.due_ms is not None:
        return f"attempt {attempt_of(state)}, due {_relative(entry.now_ms - state.due_ms)}"
    if where is Whereabouts.QUEUED and findings.queue is not None:
        return f"{findings.queue.ahead:,} before it in its queue"
    return state.error or ""


def _claim(state: EntryState, now_ms: int) -> str:
    since = f"since {age_text((now_ms - state.claimed_ms) / 1000)}, " if state.claimed_ms else ""
    left_ms = state.lease_ms - now_ms
    if left_ms <= 0:
        return f"start {state.claims}, its claim ended {age_text(-left_ms / 1000)} ago"
    return f"{since}start {state.claims}, its claim holds for another {age_text(left_ms / 1000)}"


def attempt_of(state: EntryState) -> int | None:
    """Which attempt it is, from 1; each retry is one more. None if its token isn't one."""
    try:
        return Token.parse(state.token).attempt
    except ValueError:
        return None


def _times(findings: Findings) -> Iterator[str]:
    record = findings.kafka.record if findings.kafka else None
    if record is not None:
        sent = "no timestamp" if record.timestamp_ms is None else moment_text(record.timestamp_ms)
        yield labelled("sent", sent)
    entry = findings.entry
    if entry is None:
        return
    moments = {"dispatched": entry.dispatched_ms}
    if entry.state is not None:
        state = entry.state
        moments["enqueued"] = state.enqueued_ms or None
        moments["claimed"] = state.claimed_ms
        moments["claim until"] = state.lease_ms if state.owner else None
        moments["retry due"] = state.due_ms
    for label, moment in moments.items():
        if moment is not None:
            yield labelled(label, f"{moment_text(moment)}  ({_relative(entry.now_ms - moment)})")


def _relative(past_ms: int) -> str:
    return f"{age_text(past_ms / 1000)} ago" if past_ms >= 0 else f"in {age_text(-past_ms / 1000)}"


def _ledger(entry: EntryView) -> Iterator[str]:
    if entry.state is not None:
        state = entry.state
        yield labelled(
            "attempt",
            f"{attempt_of(state)}, started {state.claims} times, queued {state.deliveries} times, "
            f"last copy {state.copy}, token {state.token}",
        )
    if entry.head is not None:
        head = entry.head
        yield labelled("partition", f"position {head.position}, committed {head.committed}, ledger {entry.condition}")


def _batch(findings: Findings) -> Iterator[str]:
    entry, batch = findings.entry, findings.batch
    if entry is None or entry.state is None or batch is None:
        return
    progress = entry.state.progress
    reached = "" if progress is None else f", nothing left to do up to offset {progress}"
    yield labelled("batch", f"{batch.text}, {entry.messages:,} messages{reached}")


def _record(record: Record) -> Iterator[str]:
    if record.key is not None:
        yield labelled("key", shown(record.key))
    yield labelled("value", "(none)" if record.value is None else shown(record.value))
    yield from _headers(record)


def _letter(letter: Record) -> Iterator[str]:
    written = "" if letter.timestamp_ms is None else f", written {moment_text(letter.timestamp_ms)}"
    yield labelled("dead letter", f"{letter.topic}-{letter.partition}-{letter.offset}{written}")
    yield from _headers(letter)


def _headers(record: Record) -> Iterator[str]:
    for name, value in record.headers:
        yield labelled("header", f"{name} = {'(none)' if value is None else shown(value)}")


def labelled(label: str, text: str) -> str:
    """A line that says what it tells; without a label it goes on with the one before."""
    return f"  {label.ljust(_LABEL_WIDTH)}{text}"


def shown(value: bytes) -> str:
    """Content as text that can't act on the terminal, what isn't UTF-8 as `\\xff`; of a long one the beginning."""
    text = printable(value[: 4 * SHOWN_CHARACTERS].decode("utf-8", "backslashreplace"))
    if len(text) <= SHOWN_CHARACTERS and len(value) <= 4 * SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}… ({len(value):,} bytes)"
