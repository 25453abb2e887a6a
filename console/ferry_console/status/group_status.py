"""A group's status as data: what the ledgers say now, beside what the consumers wrote last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_shared.record import TaskId, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferry_shared.ledger.consumer_ledger import Condition
    from ferry_shared.ledger.group_view import LedgerView
    from ferry_shared.ledger.pauses import Pause
    from ferry_shared.ledger.untracked import Untracked
    from ferry_shared.status import PartitionStatus

#: A consumer that has missed so many status intervals is silent; never less than the seconds that a rebalance takes.
SILENT_AFTER_INTERVALS = 3
SILENT_AFTER_AT_LEAST_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class PauseView:
    """Why a partition takes nothing new. `who` and `when_ms` are known only where a person or a limit wrote it down."""

    reason: str
    who: str | None = None
    when_ms: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One partition. Offsets are the next one to come, None where nothing is known.

    `position`, `committed`, `in_flight`, `oldest` and the counts are the ledger's, as they are now. `log_end` (Kafka's)
    and `consumer` are `word_age_seconds` old: what the partition's consumer wrote last, None if it wrote nothing.
    `oldest` is the task id of the lowest offset in flight, `oldest_seconds` how long ago that was dispatched.
    `untracked` are the tasks that have received messages and can't run them.
    """

    place: TopicPartition
    ledger: Condition
    log_end: int | None
    committed: int | None
    position: int | None
    in_flight: int
    oldest: str | None
    oldest_seconds: float | None
    dead_letters: int
    restored: int
    rewound: int
    pause: PauseView | None
    consumer: str | None
    word_age_seconds: float | None
    silent: bool
    untracked: tuple[Untracked, ...]

    @property
    def backlog(self) -> int:
        """Messages not yet done, as far as it is known: those not yet dispatched, and those in flight."""
        return max(0, (self.log_end or 0) - (self.position or 0)) + self.in_flight

    @property
    def lag(self) -> int:
        """Messages not committed: an upper bound of the work left."""
        return max(0, max(self.log_end or 0, self.position or 0) - (self.committed or 0))


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue of the group's tasks: how many workers take from it (None: that can't be told), for which topics, and
    how many messages of those are in flight."""

    queue: str
    workers: int | None
    topics: tuple[str, ...]
    in_flight: int


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group at `at_ms`, the Redis server's time.

    `queues` are those that its consumers have named.

    `other_pauses` are of topics or partitions that nobody has taken up yet. `complete` is False when not all of Redis
    could be searched.
    """

    group: str
    at_ms: int
    partitions: tuple[PartitionView, ...]
    other_pauses: tuple[tuple[str, PauseView], ...] = ()
    complete: bool = True
    queues: tuple[QueueView, ...] = ()

    @property
    def consumers(self) -> int:
        """How many consumers have been heard of lately."""
        return len({view.consumer for view in self.partitions if view.consumer and not view.silent})

    @property
    def silent(self) -> tuple[PartitionView, ...]:
        """The partitions of which no consumer has said anything lately."""
        return tuple(view for view in self.partitions if view.silent)

    @property
    def is_served(self) -> bool:
        """Somebody is at work on every partition, and there is one."""
        return bool(self.partitions) and not self.silent


def silent_after_seconds(status_interval_seconds: float) -> float:
    """How old the last word of a consumer may be."""
    return max(SILENT_AFTER_AT_LEAST_SECONDS, SILENT_AFTER_INTERVALS * status_interval_seconds)


def partition_view(
    group: str,
    place: TopicPartition,
    ledger: LedgerView,
    word: PartitionStatus | None,
    pause: PauseView | None,
    at_ms: int,
    silent_after: float,
) -> PartitionView:
    """Put together what is known of one partition; `pause` is the one that is written down."""
    head = ledger.head
    log_end = word.log_end if word and word.log_end >= 0 else None
    age = None if word is None else max(0, at_ms - word.at_ms) / 1000
    silent = age is None or age > silent_after
    said = word.paused if word and not silent else None
    return PartitionView(
        place,
        ledger.condition,
        log_end if head is None or log_end is None else max(log_end, head.position),
        head.committed if head else None,
        head.position if head else None,
        ledger.in_flight,
        task_id_of(group, place, ledger.lowest),
        None if ledger.dispatched_ms is None else max(0, at_ms - ledger.dispatched_ms) / 1000,
        ledger.dead_letters,
        ledger.restored,
        ledger.rewound,
        pause or (PauseView(said) if said else None),
        word.consumer if word else None,
        age,
        silent,
        ledger.untracked,
    )


def group_status(
    group: str,
    at_ms: int,
    ledgers: Mapping[TopicPartition, LedgerView],
    words: Sequence[PartitionStatus],
    pauses: Mapping[str, Pause],
    silent_after: float,
    *,
    listening: Mapping[str, int] | None = None,
    complete: bool = True,
) -> GroupStatus:
    """Put together what is known of a group, partitions in order.

    `pauses` is by `topic` or `topic:partition`; `listening` are the workers of each queue, None where nobody knows.
    """
    said = {TopicPartition(word.topic, word.partition): word for word in words}
    written = {
        target: PauseView(str(pause.cause), pause.who, pause.when_ms, pause.why) for target, pause in pauses.items()
    }
    used: set[str] = set()
    views = []
    for place in sorted(ledgers):
        targets = [target for target in (f"{place.topic}:{place.partition}", place.topic) if target in written]
        used |= set(targets)
        pause = written[targets[0]] if targets else None
        views.append(partition_view(group, place, ledgers[place], said.get(place), pause, at_ms, silent_after))
    others = tuple((target, pause) for target, pause in sorted(written.items()) if target not in used)
    queues = _queues({place: word.queue for place, word in said.items() if word.queue}, ledgers, listening)
    return GroupStatus(group, at_ms, tuple(views), others, complete, tuple(queues))


def _queues(
    named: Mapping[TopicPartition, str],
    ledgers: Mapping[TopicPartition, LedgerView],
    listening: Mapping[str, int] | None,
) -> Iterator[QueueView]:
    for queue in sorted(set(named.values())):
        places = [place for place in ledgers if named.get(place) == queue]
        yield QueueView(
            queue,
            None if listening is None else listening.get(queue, 0),
            tuple(sorted({place.topic for place in places})),
            sum(ledgers[place].in_flight for place in places),
        )


def task_id_of(group: str, place: TopicPartition, member: str | None) -> str | None:
    """The task id of an entry; None for one that isn't Ferry's."""
    first, _, rest = (member or "").partition("-")
    last = rest.partition("-")[0] or first
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        return None
    return TaskId(group, place.topic, place.partition, int(first), int(last)).text
