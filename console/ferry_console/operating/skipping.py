"""`ferry skip ID`: one message in flight ends as a dead letter, or a batch, all of it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Protocol

from ferry_console.moments import moment_text
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import (
    EXIT_NOTHING_DONE,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    Outcome,
    tell,
)
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.ledger.entry_view import view
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.skipping import Skipped, skip
from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    import redis

    from ferry_shared.ledger.entry_view import EntryView

_TOLD = {
    Skipped.FAILED: "has failed already: its dead letter is being written",
    Skipped.GONE: "is not in flight: it has ended, or was never dispatched; ferry trace tells which",
    Skipped.NO_LEDGER: "has no ledger: no consumer of its group has taken up the partition",
}


class SkipArguments(Protocol):
    """What the command line gives."""

    task_id: str
    reason: str
    dry_run: bool
    json: bool


def main(arguments: SkipArguments) -> int:
    """Skip it, and say so; returns the exit code."""
    try:
        task_id = TaskId.parse(arguments.task_id)
    except ValueError as error:
        print(f"ferry: {error}, such as messages-0-42", file=sys.stderr)
        return EXIT_USAGE
    settings = load(ConsumerSettings)
    client = connect(settings.ledger_url)
    try:
        outcome = _skipped(client, settings, task_id, arguments)
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    return tell(outcome, as_json=arguments.json)


def _skipped(client: redis.Redis, settings: ConsumerSettings, task_id: TaskId, arguments: SkipArguments) -> Outcome:
    who, now = operator_name(), moment_text(server_time_ms(client))
    entry = view(client, settings.ferry_key_prefix, task_id)
    facts = {"command": "skip", "task_id": task_id.text, "result": "in-batch", "changed": False, "batch": None}
    facts |= {"messages": entry.messages, "dry_run": arguments.dry_run, "who": who, "at": now}
    facts |= {"reason": arguments.reason}
    batch = entry.batch_of(task_id)
    if batch is not None and batch != task_id and not _is_done(entry, task_id):
        told = (
            f"{task_id.text} is in flight in a batch of {entry.messages:,} messages and can't be skipped alone; "
            f"to skip all of them: ferry skip {shlex.quote(batch.text)}"
        )
        return Outcome(EXIT_NOTHING_DONE, [told], facts | {"batch": batch.text})
    skipped = _skip(client, settings, task_id, entry, f"skipped: by {who}: {arguments.reason}", arguments)
    changed = skipped is Skipped.SKIPPED
    made = _told(task_id, entry.messages, f"{now} {who}", arguments)
    told = made if changed else f"{task_id.text} {_TOLD[skipped]}"
    facts |= {"result": str(skipped), "changed": changed}
    return Outcome(EXIT_OK if changed else EXIT_NOTHING_DONE, [told], facts)


def _is_done(entry: EntryView, task_id: TaskId) -> bool:
    """Whether its batch is further."""
    progress = entry.state.progress if entry.state else None
    return progress is not None and task_id.first <= progress


def _skip(
    client: redis.Redis,
    settings: ConsumerSettings,
    task_id: TaskId,
    entry: EntryView,
    error: str,
    arguments: SkipArguments,
) -> Skipped:
    keys = LedgerKeys.of(settings.ferry_key_prefix, task_id.group, TopicPartition(task_id.topic, task_id.partition))
    if not task_id.is_batch:
        member = str(task_id.first)
    elif entry.member is not None:
        member = entry.member
    else:
        return Skipped.NO_LEDGER if entry.head is None else Skipped.GONE
    return skip(client, keys, member, error, dry_run=arguments.dry_run)


def _told(task_id: TaskId, messages: int, when_and_who: str, arguments: SkipArguments) -> str:
    if arguments.dry_run:
        ends = f"its {messages:,} messages would end as dead letters" if messages > 1 else "would end as a dead letter"
        return f"would skip {task_id.text}: it is in flight, and {ends}"
    writes = (
        f"its consumer writes the dead letters of those of its {messages:,} messages that are not done"
        if messages > 1
        else "its consumer writes the dead letter"
    )
    return f"{when_and_who} skipped {task_id.text}: {arguments.reason}; {writes}"
