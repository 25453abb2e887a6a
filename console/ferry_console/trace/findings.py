"""What was found of one message, source by source, and where the message is, judged from that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ferry_console.in_flight.stages import Stage, stage_of

if TYPE_CHECKING:
    from ferry_shared.ledger.entry_view import EntryState, EntryView, QueueSearch
    from ferry_shared.record import Record, TaskId


class Whereabouts(StrEnum):
    """Where a message is."""

    IN_KAFKA = "in Kafka, not yet dispatched"
    DELAYED = "waiting for its time"
    QUEUED = "queued"
    TAKEN = "taken by a worker and not yet started"
    WAITING = "queued, or just being taken by a worker"
    UNSEEN = "in flight, but neither in its queue nor with a worker"
    RUNNING = "running"
    LEFT = "left by its worker"
    RETRYING = "waiting for its retry"
    FAILED = "failed, its dead letter is being written"
    DEAD = "a dead letter"
    DONE = "done"
    ENDED = "done or a dead letter"
    NO_BATCH = "no batch in flight: its messages have ended, or go on one by one"
    NOT_SENT = "not in Kafka: the log ends before it"
    DELETED = "not in Kafka any more: the log begins after it"
    ABSENT = "not in Kafka: compacted away, a transaction's marker, or of a transaction that was aborted or is open"
    NO_TOPIC = "not in Kafka: there is no such partition"
    NO_LEDGER = "in Kafka; there is no ledger that tells of it"
    UNKNOWN = "not known"


#: Where there is no message of that id.
NOWHERE = frozenset(
    {Whereabouts.NOT_SENT, Whereabouts.DELETED, Whereabouts.ABSENT, Whereabouts.NO_TOPIC, Whereabouts.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class KafkaView:
    """What Kafka has: the first offset, the next one to come (both None: no such partition), and the record."""

    log_start: int | None
    log_end: int | None
    record: Record | None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters with this task id, out of `read` records; `complete`: no other can be there."""

    found: tuple[Record, ...]
    read: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was found. What a server that is away would have said is None, and `missing` says why."""

    task_id: TaskId
    entry: EntryView | None
    queue: QueueSearch | None
    kafka: KafkaView | None
    letters: DeadLetters | None
    missing: tuple[str, ...] = ()

    @property
    def whereabouts(self) -> Whereabouts:
        """Where the message is."""
        if self.entry is None:
            return self._without_redis()
        if self.entry.state is not None:
            return self._in_flight(self.entry.state, self.entry)
        if self.entry.head is None:
            return self._without_redis() if self.kafka and self.kafka.record is None else self._without_ledger()
        if self.task_id.first >= self.entry.head.position:
            return self._not_dispatched()
        return self._ended()

    @property
    def batch(self) -> TaskId | None:
        """The batch that the message is in flight in, or that is asked for and in flight."""
        return self.entry.batch_of(self.task_id) if self.entry else None

    @property
    def known(self) -> bool:
        """There is, or was, a message of that id."""
        return self.whereabouts not in NOWHERE or bool(self.letters and self.letters.found)

    def _in_flight(self, state: EntryState, entry: EntryView) -> Whereabouts:
        """A batch has every offset from its first to its last: some are no messages, others are done before it ends."""
        if self.batch is not None and not self.task_id.is_batch:
            if self.kafka and self._not_in_kafka_inside_batch(self.kafka):
                return Whereabouts.ABSENT
            if state.progress is not None and self.task_id.first <= state.progress:
                return Whereabouts.DONE
        return in_flight(state, entry, self.queue)

    def _not_in_kafka_inside_batch(self, kafka: KafkaView) -> bool:
        return kafka.record is None and self._not_in_kafka(kafka) is Whereabouts.ABSENT

    def _without_redis(self) -> Whereabouts:
        if self.letters and self.letters.found:
            return Whereabouts.DEAD
        if self.kafka is None or self.kafka.record is not None:
            return Whereabouts.UNKNOWN
        return self._not_in_kafka(self.kafka)

    def _without_ledger(self) -> Whereabouts:
        if self.letters and self.letters.found:
            return Whereabouts.DEAD
        return Whereabouts.NO_LEDGER if self.kafka else Whereabouts.UNKNOWN

    def _not_dispatched(self) -> Whereabouts:
        if self.kafka is None:
            return Whereabouts.UNKNOWN
        return Whereabouts.IN_KAFKA if self.kafka.record is not None else self._not_in_kafka(self.kafka)

    def _ended(self) -> Whereabouts:
        if self.task_id.is_batch:
            return Whereabouts.NO_BATCH
        if self.letters and self.letters.found:
            return Whereabouts.DEAD
        if self.kafka and self.kafka.record is None:
            missing = self._not_in_kafka(self.kafka)
            # What retention has deleted was a message once, and has ended before it was.
            if missing is not Whereabouts.DELETED:
                return missing
        return Whereabouts.DONE if self.letters and self.letters.complete else Whereabouts.ENDED

    def _not_in_kafka(self, kafka: KafkaView) -> Whereabouts:
        if kafka.log_start is None or kafka.log_end is None:
            return Whereabouts.NO_TOPIC
        if self.task_id.first >= kafka.log_end:
            return Whereabouts.NOT_SENT
        return Whereabouts.DELETED if self.task_id.first < kafka.log_start else Whereabouts.ABSENT


def in_flight(state: EntryState, entry: EntryView, queue: QueueSearch | None) -> Whereabouts:
    """Where a message in flight is; `queue` is None when nobody looked."""
    stage = stage_of(state, entry.now_ms)
    if stage is not Stage.QUEUED:
        return Whereabouts[stage.name]
    return Whereabouts.TAKEN if entry.taken else waiting(queue)


def waiting(queue: QueueSearch | None) -> Whereabouts:
    """Where a copy is that no worker has taken, as far as its queue was searched."""
    if queue is not None and queue.ahead is not None:
        return Whereabouts.QUEUED
    return Whereabouts.UNSEEN if queue is not None and queue.complete else Whereabouts.WAITING
