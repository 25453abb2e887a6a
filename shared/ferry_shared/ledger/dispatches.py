"""What the consumer records and queues: one script call for what was taken from a partition in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ferry_shared.ledger.consumer_ledger import Refused, refused
from ferry_shared.ledger.scripts import Call, load, send_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.ledger.client import LedgerClient
    from ferry_shared.ledger.consumer_ledger import Ownership
    from ferry_shared.ledger.keys import LedgerKeys
    from ferry_shared.ledger.scripts import SentCalls
    from ferry_shared.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A dispatch is recorded and queued; `entries` are in flight now, and so many Celery messages in the queue."""

    position: int
    entries: int
    queue_length: int


class Queued(NamedTuple):
    """A message to queue: the entry's member, the finished Celery message, and how many records are in it."""

    member: str
    celery_message: bytes
    messages: int = 1


@dataclass(frozen=True, slots=True)
class Delayed:
    """A message that waits in the ledger until `due_ms` (ms since 1970): `stored` is a StoredRetry of its body."""

    member: str
    due_ms: int
    stored: bytes


@dataclass(frozen=True, slots=True)
class Invalid:
    """A record that can't become a task: an entry with an error, and no message."""

    member: str
    error: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One dispatch call: what was taken from a partition, in order. It may hold no entry and only move the position.

    `passed_over` counts records that are replays for another group: they are no entries.
    """

    place: TopicPartition
    keys: LedgerKeys
    queue_key: str
    ownership: Ownership
    expected: int
    next: int
    last: int
    queued: Sequence[Queued]
    invalid: Sequence[Invalid]
    passed_over: int = 0
    delayed: Sequence[Delayed] = ()
    #: How many of its records are queued.
    messages: int = field(init=False)

    def __post_init__(self) -> None:
        # Asked for several times on the hot path.
        object.__setattr__(self, "messages", sum(entry.messages for entry in self.queued))

    @property
    def valid(self) -> int:
        """How many of its records become tasks, now or later."""
        return self.messages + len(self.delayed)

    @property
    def entries(self) -> int:
        """How many entries it adds to the ledger."""
        return len(self.queued) + len(self.delayed) + len(self.invalid)

    def call(self) -> Call:
        """The script call."""
        arguments: list[str | bytes | int] = [
            self.ownership.ledger, self.ownership.epoch, self.expected, self.next, self.last, len(self.queued),
            len(self.delayed),
        ]  # fmt: skip
        for entry in self.queued:
            arguments += (entry.member, entry.celery_message)
        for waiting in self.delayed:
            arguments += (waiting.member, waiting.due_ms, waiting.stored)
        for record in self.invalid:
            arguments += (record.member, record.error)
        return Call("dispatch", (*self.keys.all, self.queue_key), arguments)


@dataclass(frozen=True, slots=True)
class SentDispatches:
    """Dispatches whose replies are still to be read, once."""

    sent: SentCalls

    def replies(self) -> list[Dispatched | Refused | Exception]:
        """Wait for the replies, in the order of the calls.

        Raises:
            RedisUnavailable: which of them happened is unknown.
        """
        return [_dispatched(reply) for reply in self.sent.replies()]


def make_known(client: LedgerClient) -> None:
    """Have the server know the script, so that it need not be told in the middle of dispatches.

    Raises:
        RedisUnavailable: it does not answer.
    """
    load(client, "dispatch")


def send_dispatches(
    client: LedgerClient, dispatches: Sequence[Dispatch], behind: SentDispatches | None = None
) -> SentDispatches:
    """Record and queue, each in one atomic script, all in one go, in the order given; and don't wait for it.

    Raises:
        RedisUnavailable: which of them happen is unknown, also of those under way that they were sent behind.
    """
    calls = [dispatch.call() for dispatch in dispatches]
    return SentDispatches(send_all(client, calls, behind.sent if behind else None))


def _dispatched(reply: Any) -> Dispatched | Refused | Exception:
    if isinstance(reply, Exception):
        return reply
    return Dispatched(int(reply[1]), int(reply[2]), int(reply[3])) if reply[0] == b"dispatched" else refused(reply)
