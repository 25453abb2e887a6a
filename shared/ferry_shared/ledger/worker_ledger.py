"""The worker's side of the ledger: claim, then done, fail, retry or release."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.client import milliseconds_of
from ferry_shared.ledger.keys import LedgerKeys, member_span, queue_key
from ferry_shared.ledger.scripts import Call, ask
from ferry_shared.record import TaskId, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferry_shared.ledger.client import LedgerClient
    from ferry_shared.ledger.packing import Word
    from ferry_shared.ledger.singles import Single
    from ferry_shared.ledger.untracked import Obstacle

HEADER = "ferry"
HEADER_VERSION = 1
#: A worker that doesn't know batches hands them back to the queue, for one that does.
BATCH_HEADER_VERSION = 2


class Verdict(StrEnum):
    """What `claim` says: only `RUN` runs."""

    RUN = "run"
    GONE = "gone"
    BUSY = "busy"
    STALE = "stale"
    POISON = "poison"
    NO_LEDGER = "no-ledger"


class Recorded(StrEnum):
    """What `done`, `fail`, `retry` and `release` say. After a lost reply, gone and stale mean that it was recorded."""

    RECORDED = "recorded"
    GONE = "gone"
    STALE = "stale"
    NOT_OWNER = "not-owner"
    NO_LEDGER = "no-ledger"


class Receipt(StrEnum):
    """What `untracked` says: counted, or failed because it was the last time; the others mean nothing was counted."""

    COUNTED = "counted"
    FAILED = "failed"
    GONE = "gone"
    STALE = "stale"
    BUSY = "busy"
    NO_LEDGER = "no-ledger"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The verdict, and how often the entry was claimed without an outcome, this time included.

    `progress`: up to this offset nothing of a batch is left to do; `below`: only below this one its messages are still
    in the log.
    """

    verdict: Verdict
    claims: int
    progress: int | None = None
    below: int | None = None

    def leaves(self, offset: int) -> bool:
        """Whether the message at this offset is left to be run."""
        return (self.progress is None or offset > self.progress) and (self.below is None or offset < self.below)


@dataclass(frozen=True, slots=True)
class TaskHeader:
    """The `ferry` header of a task message: which entry of which ledger it stands for.

    `timestamp_ms` is the record's, `enqueued_ms` the consumer's clock when it was queued. A batch has the `offsets` of
    its messages and their `timestamps_ms`, in order.
    """

    ledger: str
    group: str
    topic: str
    partition: int
    member: str
    token: str
    copy: int
    timestamp_ms: int | None
    enqueued_ms: int
    offsets: tuple[int, ...] = ()
    timestamps_ms: tuple[int | None, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> TaskHeader:
        """Read the header.

        Raises:
            ValueError: another version of Ferry wrote it.
        """
        version = fields.get("v")
        if version not in {HEADER_VERSION, BATCH_HEADER_VERSION}:
            raise ValueError(
                f"the header {HEADER!r} has version {version!r}, "
                f"this worker reads {HEADER_VERSION} and {BATCH_HEADER_VERSION}"
            )
        common = {name: fields[name] for name in _COMMON_FIELDS}
        if version == HEADER_VERSION:
            return cls(**common, timestamp_ms=fields["timestamp_ms"])
        offsets, timestamps_ms = tuple(fields["offsets"]), tuple(fields["timestamps_ms"])
        if not 1 < len(offsets) == len(timestamps_ms):
            raise ValueError(f"the header {HEADER!r} of a batch has {len(offsets)} offsets, {len(timestamps_ms)} times")
        return cls(**common, timestamp_ms=None, offsets=offsets, timestamps_ms=timestamps_ms)

    @property
    def task_id(self) -> TaskId:
        """Where the task comes from."""
        return TaskId(self.group, self.topic, self.partition, *member_span(self.member))


_COMMON_FIELDS = ("ledger", "group", "topic", "partition", "member", "token", "copy", "enqueued_ms")


class WorkerLedger:
    """Calls the worker's scripts; each raises `RedisUnavailable` when it is unknown whether it ran."""

    def __init__(self, client: LedgerClient, key_prefix: str) -> None:
        self._client = client
        self._key_prefix = key_prefix

    def claim(self, task: TaskHeader, owner: str, *, lease_ms: int, max_claims: int, restored: bool = False) -> Claimed:
        """Ask to run a task for `lease_ms`. The same owner may ask again."""
        reply = self._run("claim", task, owner, lease_ms, max_claims, int(restored))
        progress, below = (int(offset) if offset else None for offset in (*reply[2:], None, None)[:2])
        return Claimed(Verdict(reply[0].decode()), reply[1], progress, below)

    def done(self, task: TaskHeader, owner: str) -> Recorded:
        """Record that it ran: the entry goes."""
        return self._recorded("done", task, owner)

    def fail(self, task: TaskHeader, owner: str, error: str, payload: bytes) -> Recorded:
        """Record that it failed for good: the consumer writes its dead letter."""
        return self._recorded("fail", task, owner, error, payload)

    def retry(self, task: TaskHeader, owner: str, delay_ms: int, payload: bytes) -> Recorded:
        """Record that it is to run again after `delay_ms`: the consumer queues it when it is due."""
        return self._recorded("retry", task, owner, delay_ms, payload)

    def release(self, task: TaskHeader, owner: str) -> Recorded:
        """Give up the lease without an outcome, so that the copy that is requeued can be claimed at once."""
        return self._recorded("release", task, owner)

    def progress(self, batch: TaskHeader, owner: str, done_up_to: int | None, singles: Iterable[Single]) -> Recorded:
        """Record how far a batch is; None: it is done. `singles` have failed or are to be retried, up to there."""
        reached = "all" if done_up_to is None else done_up_to
        return self._recorded("progress", batch, owner, reached, *_words(singles))

    def split(self, batch: TaskHeader, owner: str, queue: str, priority: int, singles: Iterable[Single]) -> Recorded:
        """End a batch; those of its messages that are not done go on by themselves, the `QueuedSingle`s at once."""
        keys = (*self._keys(batch).all, queue_key(self._key_prefix, queue, priority))
        call = Call("split", keys, (batch.ledger, batch.member, batch.token, owner, *_words(singles)))
        return Recorded(ask(self._client, call)[0].decode())

    def untracked(
        self, task: TaskHeader, task_name: str, obstacle: Obstacle, *, max_claims: int, error: str
    ) -> Receipt:
        """Record that it came to a task that can't run it: that counts as a start, and after the last one it fails."""
        return Receipt(self._run("untracked", task, task_name, max_claims, error, obstacle)[0].decode())

    def now_ms(self) -> int:
        """The server's time, in ms since 1970."""
        return milliseconds_of(self._client.ask("TIME"))

    def _recorded(self, name: str, task: TaskHeader, owner: str, *arguments: str | bytes | int) -> Recorded:
        return Recorded(self._run(name, task, owner, *arguments)[0].decode())

    def _run(self, name: str, task: TaskHeader, *arguments: str | bytes | int) -> Any:
        call = Call(name, self._keys(task).all, (task.ledger, task.member, task.token, *arguments))
        return ask(self._client, call)

    def _keys(self, task: TaskHeader) -> LedgerKeys:
        return LedgerKeys.of(self._key_prefix, task.group, TopicPartition(task.topic, task.partition))


def _words(singles: Iterable[Single]) -> list[Word]:
    return [word for single in singles for word in single.words]
