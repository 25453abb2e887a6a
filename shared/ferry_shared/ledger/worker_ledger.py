"""The worker's side of the ledger: claim, then done, fail, retry or release."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.scripts import Call, run
from ferry_shared.record import TaskId, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_shared.ledger.untracked import Obstacle

HEADER = "ferry"
HEADER_VERSION = 1


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
    """The verdict, and how often the entry was claimed without an outcome, this time included."""

    verdict: Verdict
    claims: int


@dataclass(frozen=True, slots=True)
class TaskHeader:
    """The `ferry` header of a task message: which entry of which ledger it stands for.

    `timestamp_ms` is the record's, `enqueued_ms` the consumer's clock when it was queued.
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

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> TaskHeader:
        """Read the header.

        Raises:
            ValueError: another version of Ferry wrote it.
        """
        if fields.get("v") != HEADER_VERSION:
            raise ValueError(
                f"the header {HEADER!r} has version {fields.get('v')!r}, this worker reads {HEADER_VERSION}"
            )
        return cls(**{name: fields[name] for name in cls.__slots__})

    @property
    def task_id(self) -> TaskId:
        """Where the task comes from."""
        offset = int(self.member)
        return TaskId(self.group, self.topic, self.partition, offset, offset)


class WorkerLedger:
    """Calls the worker's scripts; each raises `RedisUnavailable` when it is unknown whether it ran."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._client = client
        self._key_prefix = key_prefix

    def claim(self, task: TaskHeader, owner: str, *, lease_ms: int, max_claims: int, restored: bool = False) -> Claimed:
        """Ask to run a task for `lease_ms`. The same owner may ask again."""
        reply = self._run("claim", task, owner, lease_ms, max_claims, int(restored))
        return Claimed(Verdict(reply[0].decode()), reply[1])

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

    def untracked(
        self, task: TaskHeader, task_name: str, obstacle: Obstacle, *, max_claims: int, error: str
    ) -> Receipt:
        """Record that it came to a task that can't run it: that counts as a start, and after the last one it fails."""
        return Receipt(self._run("untracked", task, task_name, max_claims, error, obstacle)[0].decode())

    def _recorded(self, name: str, task: TaskHeader, owner: str, *arguments: str | bytes | int) -> Recorded:
        return Recorded(self._run(name, task, owner, *arguments)[0].decode())

    def _run(self, name: str, task: TaskHeader, *arguments: str | bytes | int) -> Any:
        keys = LedgerKeys.of(self._key_prefix, task.group, TopicPartition(task.topic, task.partition))
        return run(self._client, Call(name, keys.all, (task.ledger, task.member, task.token, *arguments)))
