"""What is in flight as data: each entry with its task id, how far it is and how old, and which ones are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.in_flight.stages import Stage, stage_of
from ferry_shared.ledger.keys import member_span, message_count
from ferry_shared.record import TaskId

if TYPE_CHECKING:
    from ferry_shared.ledger.entry_page import Entry
    from ferry_shared.ledger.entry_view import EntryState
    from ferry_shared.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Flight:
    """One task in flight at `now_ms`, the server's time; a batch holds several `messages`.

    `dispatched_ms` is when it was first queued, None where Redis has lost that.
    """

    task_id: TaskId
    messages: int
    state: EntryState
    dispatched_ms: int | None
    now_ms: int

    @property
    def stage(self) -> Stage:
        """How far it is."""
        return stage_of(self.state, self.now_ms)

    @property
    def age_seconds(self) -> float | None:
        """How long ago it was dispatched."""
        return None if self.dispatched_ms is None else max(0, self.now_ms - self.dispatched_ms) / 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ones are asked for: the `limit` oldest, of a topic, a partition, a stage, or older than some seconds."""

    limit: int
    topic: str | None = None
    partition: int | None = None
    older_than_seconds: float | None = None
    stage: Stage | None = None

    def lies_in(self, place: TopicPartition) -> bool:
        """Whether a partition is to be looked at."""
        return self.topic in {None, place.topic} and self.partition in {None, place.partition}

    def is_old_enough(self, flight: Flight) -> bool:
        """Whether it is old enough; an unknown age is."""
        age = flight.age_seconds
        return self.older_than_seconds is None or age is None or age >= self.older_than_seconds

    def is_at(self, flight: Flight) -> bool:
        """Whether it is at the stage that is asked for."""
        return self.stage in {None, flight.stage}


@dataclass(frozen=True, slots=True)
class InFlight:
    """The answer: `found` are the oldest of those asked for, `more`: there are others.

    `total` counts the messages in flight in the `partitions` that were looked at, whatever their age and stage.
    `warnings` are sentences.
    """

    group: str
    at_ms: int
    partitions: int
    total: int
    found: tuple[Flight, ...]
    more: bool
    warnings: tuple[str, ...] = ()


def flight_of(group: str, place: TopicPartition, entry: Entry, now_ms: int) -> Flight:
    """Name an entry by its task id."""
    first, last = member_span(entry.member)
    task_id = TaskId(group, place.topic, place.partition, first, last)
    return Flight(task_id, message_count(entry.member), entry.state, entry.dispatched_ms, now_ms)
