"""Names of the ledger's keys, and of the members inside."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.record import TopicPartition

#: These would break the hash tag (`{…}`), the separator, or a terminal; `%` keeps the encoding one to one.
_RESERVED = re.compile(r"[%:{}\x00-\x1f\x7f]")


def encoded(name: str) -> str:
    """Percent-encode what may not stand in a key."""
    return _RESERVED.sub(lambda match: f"%{ord(match.group()):02X}", name)


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """The five keys of one ledger, in the order in which the scripts take them; and where its pauses are: the group's
    hash, and the fields of the topic and of the partition."""

    head: str
    inflight: str
    state: str
    times: str
    attention: str
    pauses: str
    pause_fields: tuple[str, str]

    @classmethod
    def of(cls, prefix: str, group: str, place: TopicPartition) -> LedgerKeys:
        """Name the keys of a group's partition; `prefix` is kombu's `global_keyprefix`."""
        stem = f"{ledger_stem(prefix, group)}{encoded(place.topic)}:{place.partition}}}"
        return cls(
            f"{stem}:head", f"{stem}:inflight", f"{stem}:state", f"{stem}:times", f"{stem}:attention",
            pause_key(prefix, group), (place.topic, f"{place.topic}:{place.partition}"),
        )  # fmt: skip

    @property
    def all(self) -> tuple[str, str, str, str, str]:
        """The keys, as KEYS[1] to KEYS[5]."""
        return (self.head, self.inflight, self.state, self.times, self.attention)


def ledger_stem(prefix: str, group: str) -> str:
    """What the names of a group's ledgers begin with, and of no other group's."""
    return f"{prefix}ferry:{{{encoded(group)}:"


def status_key(prefix: str, group: str) -> str:
    """Name the hash with the consumers' status: one field per partition."""
    return f"{prefix}ferry:status:{encoded(group)}"


def pause_key(prefix: str, group: str) -> str:
    """Name the hash with a group's pauses: one field per paused topic or partition."""
    return f"{prefix}ferry:pause:{encoded(group)}"


def replayed_key(prefix: str, group: str) -> str:
    """Name the hash with the dead letters of a group that were sent again: one field per message."""
    return f"{prefix}ferry:replayed:{encoded(group)}"


def purging_key(prefix: str, topic: str) -> str:
    """Name the hash that says up to where a dead-letter topic is being purged: one field per partition."""
    return f"{prefix}ferry:purging:{encoded(topic)}"


def last_runs_stem(prefix: str, group: str) -> str:
    """What the names of a group's hashes with the last runs of beat's entries begin with: one per Celery app."""
    return f"{prefix}ferry:beat:{encoded(group)}:"


def listening_key(prefix: str) -> str:
    """Name the sorted set of the workers and the queues they take from; it is for all groups."""
    return f"{prefix}ferry:listening"


#: kombu's defaults (`priority_steps`, `sep`): a queue is one list for each step, taken from in this order.
PRIORITY_STEPS = (0, 3, 6, 9)
PRIORITY_SEPARATOR = "\x06\x16"


def queue_key(prefix: str, queue: str, priority: int = 0) -> str:
    """Name the list that holds a Celery queue's messages of a priority, 0 (first) to 9."""
    step = PRIORITY_STEPS[bisect_right(PRIORITY_STEPS, priority) - 1]
    return f"{prefix}{queue}{PRIORITY_SEPARATOR}{step}" if step else f"{prefix}{queue}"


def queue_keys(prefix: str, queue: str) -> tuple[str, ...]:
    """Name all the lists of a Celery queue, the one that is taken from first before the others."""
    return tuple(queue_key(prefix, queue, step) for step in PRIORITY_STEPS)


def unacked_key(prefix: str) -> str:
    """Name the hash in which kombu keeps what workers have taken and not acknowledged."""
    return f"{prefix}unacked"


def member_span(member: str) -> tuple[int, int]:
    """First and last offset of an entry: `4711` is one message, `4711-4810-97` a batch of 97."""
    first, _, rest = member.partition("-")
    return int(first), int(rest.partition("-")[0] or first)


def message_count(member: str) -> int:
    """How many messages an entry stands for."""
    return int(member.rpartition("-")[2]) if "-" in member else 1


def batch_member(offsets: Sequence[int]) -> str:
    """Name the entry of several messages: `4711-4810-97` is never equal to a single one's name."""
    return f"{offsets[0]}-{offsets[-1]}-{len(offsets)}"


@dataclass(frozen=True, slots=True)
class Token:
    """Which dispatch and which attempt a task message stands for: an older one is stale."""

    epoch: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.attempt}"

    @property
    def next_attempt(self) -> Token:
        """What a retry has, or a message of a batch that goes on by itself."""
        return Token(self.epoch, self.attempt + 1)

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read `epoch.attempt`. Raises ValueError when it is something else."""
        match = re.fullmatch(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)", text)
        if match is None:
            raise ValueError(f"{text!r} is no token: expected epoch.attempt")
        return cls(int(match[1]), int(match[2]))
