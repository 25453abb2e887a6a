"""Look at one entry of a ledger, and for its message in the queue, without touching either."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.group_view import head_of
from ferry_shared.ledger.keys import LedgerKeys, member_span, message_count, unacked_key
from ferry_shared.ledger.scripts import Call, run, run_all
from ferry_shared.record import TopicPartition, group_suffix

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_shared.record import TaskId


@dataclass(frozen=True, slots=True)
class EntryState:
    """What is known of an entry in flight; times are the server's, in milliseconds since 1970.

    `claims` counts starts of this attempt, `deliveries` messages queued for it, `copy` names the last of them.
    `owner` holds the claim until `lease_ms`; `claimed_ms` is when the last claim began. `due_ms` is set while a retry
    waits, `error` once it has failed or was found invalid. `progress` is the offset up to which nothing of a batch is
    left to do.
    """

    token: str
    copy: int
    claims: int
    deliveries: int
    enqueued_ms: int
    owner: str | None
    lease_ms: int
    claimed_ms: int | None
    due_ms: int | None
    error: str | None
    progress: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> EntryState:
        """Read what the scripts write."""
        due, error, owner = fields.get("due"), fields.get("error"), fields.get("owner")
        progress = str(fields.get("progress", ""))
        return cls(
            str(fields.get("token", "")),
            _number(fields, "copy"),
            _number(fields, "claims"),
            _number(fields, "deliveries"),
            _number(fields, "enqueued"),
            None if owner is None else str(owner),
            _number(fields, "lease"),
            _number(fields, "claimed") or None,
            None if due is None else _number(fields, "due"),
            None if error is None else str(error),
            int(progress) if progress.isascii() and progress.isdigit() else None,
        )


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    return int(value) if isinstance(value, int | float) else 0


@dataclass(frozen=True, slots=True)
class EntryView:
    """What a ledger says of one offset, or of a batch, at `now_ms`, the server's time.

    `member` and `state` are None unless it is in flight; an offset can be in flight in a batch. `payload` is what a
    failure or a retry stored. `taken`: a worker has its message and hasn't acknowledged it.
    """

    condition: Condition
    now_ms: int
    head: Head | None
    member: str | None
    state: EntryState | None
    payload: bytes
    dispatched_ms: int | None
    taken: bool

    @property
    def messages(self) -> int:
        """How many messages are in its entry."""
        return message_count(self.member) if self.member else 0

    def batch_of(self, task_id: TaskId) -> TaskId | None:
        """The batch that the message is in, or that is asked for; None where the entry is a single message's."""
        if self.member is None or self.messages == 1:
            return None
        first, last = member_span(self.member)
        return replace(task_id, first=first, last=last)


@dataclass(frozen=True, slots=True)
class QueueSearch:
    """Where a message is in its queue: `ahead` others are taken before it; None: it isn't among the `scanned`.

    `complete` is False when the time did not suffice for the whole queue.
    """

    ahead: int | None
    scanned: int
    complete: bool


def view(client: redis.Redis, key_prefix: str, task_id: TaskId) -> EntryView:
    """Read a task's entry and its head, in one script.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    place = TopicPartition(task_id.topic, task_id.partition)
    keys = LedgerKeys.of(key_prefix, task_id.group, place)
    arguments = (task_id.first, f"{place}-", group_suffix(task_id.group), task_id.last)
    # The sixth key is a queue's in every script; this one reads none.
    call = Call("entry", (*keys.all, keys.head, unacked_key(key_prefix)), arguments)
    (reply,) = run_all(client, [call])
    if isinstance(reply, Exception):
        return EntryView(Condition.DAMAGED, 0, None, None, None, b"", None, taken=False)
    condition, now_ms, flat, member, state, payload, dispatched_ms, taken = reply
    return EntryView(
        Condition(condition.decode()),
        int(now_ms),
        head_of(flat),
        member.decode() or None,
        EntryState.of(orjson.loads(state)) if state else None,
        payload,
        int(dispatched_ms) or None,
        taken == 1,
    )


def search_queue(
    client: redis.Redis, queue_key: str, task_id: TaskId, entry: EntryView, timeout_seconds: float
) -> QueueSearch:
    """Look for an entry's last message in its queue, as far as the time suffices.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    place = TopicPartition(task_id.topic, task_id.partition)
    keys = LedgerKeys.of("", task_id.group, place)
    texts = _tag_texts(task_id, entry)
    deadline, index = time.monotonic() + timeout_seconds, 0
    while True:
        found, reached, length = run(client, Call("queued", (*keys.all, queue_key), (index, *texts)))
        index = int(reached)
        if int(found) >= 0:
            return QueueSearch(max(0, length - int(found) - 1), index, complete=True)
        if index >= length or time.monotonic() > deadline:
            return QueueSearch(None, index, complete=index >= length)


def _tag_texts(task_id: TaskId, entry: EntryView) -> tuple[str, ...]:
    """The entry's delivery tag as it stands in a message: as the consumer writes it, and as kombu does."""
    if entry.head is None or entry.state is None:
        return ()
    state = entry.state
    task = f"{task_id.topic}-{task_id.partition}-{entry.member}{group_suffix(task_id.group)}"
    tag = f"{entry.head.ledger}/{task}/{state.token}.{state.copy}"
    return tuple({json.dumps(tag), orjson.dumps(tag).decode()})
