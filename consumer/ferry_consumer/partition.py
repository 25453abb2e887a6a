"""What the consumer holds in memory of one assigned partition."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_shared.ledger.consumer_ledger import Counted
from ferry_shared.ledger.keys import LedgerKeys, queue_key

if TYPE_CHECKING:
    from ferry_shared.ledger.consumer_ledger import Acquired, Ownership, Snapshot
    from ferry_shared.ledger.dispatches import Dispatch
    from ferry_shared.ledger.pauses import PauseCause
    from ferry_shared.ledger.redelivery import Transport
    from ferry_shared.record import Record, TopicPartition
    from ferry_shared.routes import Route
    from ferry_shared.task_message import TaskTemplate
    from ferry_shared.validation import MessageAdapter

#: At most so many invalid records a partition wait in memory, none larger than this; the rest is read again from Kafka.
MAX_REMEMBERED_RECORDS = 1_000
MAX_REMEMBERED_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class Place:
    """What never changes about a partition while it is assigned."""

    topic_partition: TopicPartition
    route: Route
    adapter: MessageAdapter
    keys: LedgerKeys
    queue_key: str

    @classmethod
    def of(cls, place: TopicPartition, route: Route, adapter: MessageAdapter, key_prefix: str, group: str) -> Place:
        """Name the keys of a partition's ledger, and the list that its route's messages go to."""
        keys = LedgerKeys.of(key_prefix, group, place)
        return cls(place, route, adapter, keys, queue_key(key_prefix, route.queue, route.priority))


@dataclass(frozen=True, slots=True)
class Tenure:
    """A ledger that was acquired: the proof, the identity that signs commits, and how its tasks look on the way."""

    ownership: Ownership
    topic_id: str
    template: TaskTemplate
    transport: Transport


@dataclass(slots=True)
class Partition:
    """An assigned partition. Without a tenure nothing of it is dispatched, read or committed.

    `expected` is the position in the ledger as far as its replies tell: where the partition was taken up, or the end of
    the last dispatch that is known to have happened. `unanswered` holds dispatches that were sent, and whose reply is
    on its way or lost, `prepared` those that follow them.
    `committed_in_ledger` is what the ledger has taken note of: less means that it went back in time. `invalid` keeps
    records of entries that wait for their dead letter.
    `reached` is the end of what may have been dispatched when the last tenure ended: by it rewinds are counted.
    `is_full` says that it is past a limit of its own, `paused` why its records are not to be taken in, `fetching` that
    they are taken in at this moment; it goes on at `expected`, whatever was fetched meanwhile.
    """

    place: Place
    tenure: Tenure | None = None
    highest_epoch: int = 0
    expected: int = 0
    committed: int = 0
    committed_in_ledger: int = 0
    in_flight: int = 0
    lowest: int | None = None
    oldest_ms: int = 0
    dead_letters: int = 0
    restored: int = 0
    rewound: int = 0
    reached: int = 0
    unanswered: list[Dispatch] = field(default_factory=list)
    prepared: list[Dispatch] = field(default_factory=list)
    invalid: dict[int, Record] = field(default_factory=dict)
    is_full: bool = False
    paused: PauseCause | None = None
    fetching: bool = False
    not_before: float = 0.0

    @property
    def topic_partition(self) -> TopicPartition:
        """Where it is."""
        return self.place.topic_partition

    @property
    def following(self) -> int:
        """The position once all that was sent has happened."""
        return self.unanswered[-1].next if self.unanswered else self.expected

    @property
    def span(self) -> int:
        """Offsets between the oldest message in flight and the position."""
        return 0 if self.lowest is None else self.expected - self.lowest

    def start(self, tenure: Tenure, position: int, committed: int, in_flight: int) -> None:
        """Begin a tenure at `position`, with so many messages in flight."""
        self.tenure = tenure
        self.highest_epoch = tenure.ownership.epoch
        self.expected = self.reached = position
        self.committed = self.committed_in_ledger = committed
        self.in_flight = in_flight
        self.lowest = None
        self.unanswered, self.prepared = [], []
        self.invalid = {}
        self.is_full = False
        self.fetching = False

    def note_acquired(self, acquired: Acquired) -> None:
        """The ledger is ours and has counted the rewind: not once more if what follows fails."""
        self.highest_epoch = acquired.ownership.epoch
        self.reached = acquired.position

    @property
    def counted(self) -> Counted:
        """The ledger's counts as they were last read."""
        return Counted(self.dead_letters, self.restored, self.rewound)

    def remember_invalid(self, record: Record) -> None:
        """Keep a record for its dead letter, as far as memory is meant for it; Kafka has the others."""
        if len(self.invalid) < MAX_REMEMBERED_RECORDS and record.size_bytes <= MAX_REMEMBERED_BYTES:
            self.invalid[record.offset] = record

    def hold_back(self) -> None:
        """What was just taken from Kafka is not dispatched: it is read again, perhaps by another model."""
        for call in self.prepared:
            for record in call.invalid:
                self.invalid.pop(int(record.member), None)
        self.prepared = []

    def note_sent(self) -> None:
        """What was prepared is on its way."""
        self.unanswered, self.prepared = self.unanswered + self.prepared, []

    def note_dispatched(self, dispatch: Dispatch) -> list[Dispatch]:
        """An unanswered dispatch has happened, and so have those that were sent before it: it follows their end.

        Returns all of them.
        """
        self.expected = dispatch.next
        happened = [call for call in self.unanswered if call.next <= dispatch.next]
        self.in_flight += sum(call.valid + len(call.invalid) for call in happened)
        self.unanswered = self.unanswered[len(happened) :]
        return happened

    def note_snapshot(self, snapshot: Snapshot) -> None:
        """Take over what the ledger says."""
        self.in_flight = snapshot.messages
        self.lowest = snapshot.lowest
        self.oldest_ms = snapshot.oldest_ms
        self.dead_letters = snapshot.dead_letters
        self.restored = snapshot.restored
        self.rewound = snapshot.rewound

    def postpone(self, seconds: float) -> None:
        """Don't try to acquire it before."""
        self.not_before = time.monotonic() + seconds

    @property
    def is_to_be_acquired(self) -> bool:
        """It has no tenure, and it is time to try."""
        return self.tenure is None and time.monotonic() >= self.not_before

    def lose(self) -> None:
        """End the tenure: the partition must be acquired again before anything else happens to it."""
        if self.tenure:
            self.reached = max([self.expected, *(call.next for call in self.unanswered)])
        self.tenure = None
        self.unanswered, self.prepared = [], []
