"""`ferry skip ID`: one message in flight ends as a dead letter."""

from __future__ import annotations

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
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.skipping import Skipped, skip
from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    import redis

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
    if task_id.first != task_id.last:
        print(f"ferry: {task_id.text} is a batch: expected one message of it, by its own id", file=sys.stderr)
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
    place = TopicPartition(task_id.topic, task_id.partition)
    keys = LedgerKeys.of(settings.ferry_key_prefix, task_id.group, place)
    who, now = operator_name(), moment_text(server_time_ms(client))
    error = f"skipped: by {who}: {arguments.reason}"
    skipped = skip(client, keys, str(task_id.first), error, dry_run=arguments.dry_run)
    changed = skipped is Skipped.SKIPPED
    if not changed:
        told = f"{task_id.text} {_TOLD[skipped]}"
    elif arguments.dry_run:
        told = f"would skip {task_id.text}: it is in flight, and would end as a dead letter"
    else:
        told = f"{now} {who} skipped {task_id.text}: {arguments.reason}; its consumer writes the dead letter"
    facts = {"command": "skip", "task_id": task_id.text, "result": str(skipped), "changed": changed}
    facts |= {"dry_run": arguments.dry_run, "who": who, "at": now, "reason": arguments.reason}
    return Outcome(EXIT_OK if changed else EXIT_NOTHING_DONE, [told], facts)
