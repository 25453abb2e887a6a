"""The consumer's side of the ledger: acquire, snapshot, enqueue, clear, committed; `dispatches` has the rest."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.pauses import NO_PAUSES, pauses_of
from ferry_shared.ledger.scripts import Call, run, run_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from ferry_shared.ledger.keys import LedgerKeys
    from ferry_shared.ledger.pauses import Pauses


class Condition(StrEnum):
    """What a ledger looks like before it is acquired."""

    ABSENT = "absent"
    SOUND = "sound"
    DAMAGED = "damaged"
    WRONG_TYPE = "wrong-type"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a ledger: who it belongs to and how far it is."""

    format: str
    ledger: str
    epoch: int
    position: int
    committed: int
    cluster_id: str
    topic_id: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Head:
        """Read the hash; a field that is missing or no number counts as 0 or empty."""
        return cls(
            fields.get("format", ""),
            fields.get("ledger", ""),
            _number(fields.get("epoch", "")),
            _number(fields.get("position", "")),
            _number(fields.get("committed", "")),
            fields.get("cluster_id", ""),
            fields.get("topic_id", ""),
            fields,
        )


@dataclass(frozen=True, slots=True)
class Inspection:
    """A ledger as it was read: its condition, entries in flight, the head where there is one, and what pauses it."""

    condition: Condition
    entries: int
    head: Head | None
    pauses: Pauses = NO_PAUSES

    @property
    def partitions(self) -> int:
        """How many partitions the topic had when the group first took this one up; 0 where that is not known."""
        return _number(self.head.fields.get("partitions", "")) if self.head else 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What a consumer remembers of a ledger's counts, for a Redis that has forgotten them."""

    dead_letters: int
    restored: int
    rewound: int


NOTHING_COUNTED = Counted(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ownership:
    """Proof that this consumer acquired the ledger: every one of its scripts compares both."""

    ledger: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Acquired:
    """A ledger is ours: from here on its position is `position`, and so many `messages` are in flight."""

    ownership: Ownership
    position: int
    committed: int
    entries: int
    dropped: int
    messages: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A script refused: no ledger, another owner, or another position (None: there is no head)."""

    ledger: str | None
    epoch: int | None
    position: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """An entry at which the consumer must act, with its state and, for what waited, what is to be queued now.

    `retry_due`: a retry, or a message that was delayed, whose time has come.
    """

    member: str
    token: str
    copy: int
    claims: int
    deliveries: int
    error: str | None
    retry_due: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A partition's ledger at one moment; commits are computed from it and from nothing else.

    `dead_letters`, `restored` (copies that the transport handed back) and `rewound` (offsets dispatched again) count
    since the group first took the partition up, as far as Redis has kept them.
    """

    position: int
    committed: int
    entries: int
    messages: int
    dead_letters: int
    restored: int
    rewound: int
    sound: bool
    lowest: int | None
    oldest_ms: int
    now_ms: int
    due: tuple[Due, ...]
    pauses: Pauses = NO_PAUSES


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def inspect(client: redis.Redis, keys: LedgerKeys) -> Inspection:
    """Read a ledger before acquiring it."""
    call = Call("inspect", (*keys.all, keys.pauses), keys.pause_fields)
    condition, entries, flat, *pauses = run(client, call)
    words = [word.decode("utf-8", "surrogateescape") for word in flat]
    fields = dict(zip(words[::2], words[1::2], strict=True))
    head = Head.of(fields) if fields else None
    return Inspection(Condition(condition.decode()), entries, head, pauses_of(*pauses))


def acquire(
    client: redis.Redis,
    keys: LedgerKeys,
    seen: Inspection,
    *,
    ledger: str,
    epoch_floor: int,
    position: int,
    committed: int,
    cluster_id: str,
    topic_id: str,
    drop: bool,
    drop_from: int | None,
    rewound: int = 0,
    counted: Counted = NOTHING_COUNTED,
    partitions: int = 0,
) -> Acquired | Refused:
    """Take over a ledger, or create it; refused when somebody else changed it since `seen` was read.

    `rewound` offsets are dispatched again; the ledger's counts become at least what is `counted` already.
    `partitions` is how many the topic had when the group first took this one up; 0 where that is not known.
    """
    fields: Mapping[str, str] = seen.head.fields if seen.head else {}
    names = ("format", "ledger", "epoch", "position", "committed", "topic_id")
    head = [fields.get(name, "").encode("utf-8", "surrogateescape") for name in names]
    if seen.condition is Condition.WRONG_TYPE:
        head[0] = b"?"
    arguments = (
        *head, ledger, epoch_floor, position, committed, cluster_id, topic_id,
        "drop" if drop else "keep", "" if drop_from is None else drop_from,
        rewound, counted.dead_letters, counted.restored, counted.rewound, partitions,
    )  # fmt: skip
    reply = run(client, Call("acquire", keys.all, arguments))
    if reply[0] != b"acquired":
        return refused(reply)
    return Acquired(Ownership(ledger, int(reply[1])), position, committed, reply[2], reply[3], reply[4])


def first_partition_counts(client: redis.Redis, ledgers: Sequence[LedgerKeys]) -> list[int]:
    """How many partitions the topic had when the group first took each of these up; 0 where that is not known.

    Raises:
        RedisUnavailable: it did not answer.
    """
    with translated():
        pipeline = client.pipeline(transaction=False)
        for keys in ledgers:
            pipeline.hget(keys.head, "partitions")
        replies = pipeline.execute(raise_on_error=False) if ledgers else []
    return [_number(reply.decode("utf-8", "replace")) if isinstance(reply, bytes) else 0 for reply in replies]


def snapshot(
    client: redis.Redis, owned: Sequence[tuple[LedgerKeys, Ownership]], limit: int
) -> list[Snapshot | Refused | Exception]:
    """Read every partition's ledger in one round trip; at most `limit` entries that need attention each."""
    calls = [
        Call("snapshot", (*keys.all, keys.pauses), (owner.ledger, owner.epoch, limit, *keys.pause_fields))
        for keys, owner in owned
    ]
    return [_snapshot(reply) for reply in run_all(client, calls)]


def _snapshot(reply: Any) -> Snapshot | Refused | Exception:
    if isinstance(reply, Exception):
        return reply
    if reply[0] != b"snapshot":
        return refused(reply)
    *numbers, cardinality, lowest, oldest_ms, now_ms, due, topic_pause, partition_pause = reply[1:]
    position, committed, entries, messages, dead_letters, restored, rewound = map(int, numbers)
    # The oldest entry is as old as the call that dispatched it; without one Redis has lost :times.
    sound = entries == cardinality and (not lowest or int(oldest_ms) > 0)
    return Snapshot(
        position, committed, entries, messages, dead_letters, restored, rewound, sound,
        int(lowest) if lowest else None, int(oldest_ms), int(now_ms), tuple(_due(*item) for item in due),
        pauses_of(topic_pause, partition_pause),
    )  # fmt: skip


def _due(*words: Any) -> Due:
    member, token, copy, claims, deliveries, failed, error, retry_due, payload = words
    told = error.decode("utf-8", "replace") if failed else None
    return Due(member.decode(), token.decode(), copy, claims, deliveries, told, bool(retry_due), payload)


def stored_payload(client: redis.Redis, keys: LedgerKeys, member: str) -> bytes:
    """What `fail` or `retry` stored of an entry; empty when neither did."""
    with translated():
        payload: Any = client.hget(keys.state, f"{member}:payload")
    return payload or b""


def enqueue(
    client: redis.Redis, keys: LedgerKeys, queue_key: str, owner: Ownership, due: Due, *, message: bytes
) -> bool:
    """Queue the next copy of an entry; False when the entry has moved on meanwhile."""
    arguments = (owner.ledger, owner.epoch, due.member, due.token, due.copy, message)
    return bool(run(client, Call("enqueue", (*keys.all, queue_key), arguments))[0] == b"enqueued")


def clear(client: redis.Redis, keys: LedgerKeys, owner: Ownership, member: str, token: str) -> bool:
    """Remove an entry whose dead letter Kafka has acknowledged; False when it is gone already."""
    arguments = (owner.ledger, owner.epoch, member, token)
    return bool(run(client, Call("clear", keys.all, arguments))[0] == b"cleared")


def postpone(client: redis.Redis, keys: LedgerKeys, owner: Ownership, member: str, delay_ms: int) -> None:
    """Let an entry that needs attention wait, so that others come first."""
    run(client, Call("postpone", keys.all, (owner.ledger, owner.epoch, member, delay_ms)))


def committed(client: redis.Redis, keys: LedgerKeys, owner: Ownership, offset: int) -> bool:
    """Record what Kafka has committed; False when the ledger is no longer ours."""
    return bool(run(client, Call("committed", keys.all, (owner.ledger, owner.epoch, offset)))[0] == b"recorded")


def refused(reply: Sequence[bytes]) -> Refused:
    """Read a refusal of any of these scripts."""
    if len(reply) == 1:
        return Refused(None, None, None)
    return Refused(reply[1].decode(), int(reply[2] or 0), int(reply[3] or 0))
