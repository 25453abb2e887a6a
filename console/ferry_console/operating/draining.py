"""How far a drain is: what is in flight of the partitions that were paused, and whether their consumers hold still."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.moments import age_text
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.pauses import PauseCause

if TYPE_CHECKING:
    from ferry_shared.ledger.group_view import LedgerView
    from ferry_shared.record import TopicPartition
    from ferry_shared.status import PartitionStatus

#: Pauses that are written down; any other ends by itself.
_LASTING = frozenset({str(PauseCause.OPERATOR), str(PauseCause.DEAD_LETTER_LIMIT)})
#: The rate is that of the last seconds: a task that is stuck must show.
RATE_SECONDS = 10.0
#: More partitions are counted, not listed.
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class PartitionLook:
    """One partition: messages in flight, and those that are done and not yet committed, as far as the ledger tells.

    `holds`: its consumer has said since that it takes nothing in, or nobody consumes it (`silent`). `oldest` is the
    task id of the lowest in flight, `oldest_seconds` how long ago that was dispatched.
    """

    place: TopicPartition
    in_flight: int
    uncommitted: int
    holds: bool
    silent: bool
    is_readable: bool = True
    oldest: str | None = None
    oldest_seconds: float | None = None

    @property
    def is_drained(self) -> bool:
        """Nothing of it can be lost or run any more."""
        return self.is_readable and self.holds and not self.in_flight and not self.uncommitted


@dataclass(frozen=True, slots=True)
class DrainLook:
    """All of them, at one moment."""

    partitions: tuple[PartitionLook, ...]

    @property
    def in_flight(self) -> int:
        """Messages dispatched and not yet ended."""
        return sum(one.in_flight for one in self.partitions)

    @property
    def left(self) -> tuple[PartitionLook, ...]:
        """The partitions that aren't drained."""
        return tuple(one for one in self.partitions if not one.is_drained)

    @property
    def oldest(self) -> PartitionLook | None:
        """The partition of the oldest message in flight."""
        known = [one for one in self.partitions if one.oldest is not None]
        return max(known, key=lambda one: one.oldest_seconds or 0.0, default=None)


def partition_look(
    place: TopicPartition,
    view: LedgerView,
    word: PartitionStatus | None,
    oldest: str | None,
    *,
    paused_ms: int,
    silent_after_seconds: float,
) -> PartitionLook:
    """Put together what ledger and consumer (`word`, its last status) tell of a partition paused at `paused_ms`."""
    now_ms = view.now_ms
    silent = word is None or now_ms - word.at_ms > silent_after_seconds * 1000
    says_so = word is not None and word.at_ms >= paused_ms and word.paused in _LASTING
    head = view.head
    return PartitionLook(
        place,
        view.in_flight,
        max(0, head.position - head.committed) if head else 0,
        silent or says_so,
        silent,
        view.condition in {Condition.SOUND, Condition.ABSENT},
        oldest,
        None if view.dispatched_ms is None else max(0, now_ms - view.dispatched_ms) / 1000,
    )


class EndRate:
    """How many messages end per second, over the last while."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def note(self, now: float, in_flight: int) -> float:
        """Take in how many are in flight at `now` (seconds); returns the rate."""
        self._looks.append((now, in_flight))
        while now - self._looks[0][0] > RATE_SECONDS:
            self._looks.popleft()
        # Before the consumers hold still there can come more than end.
        most_at, most = max(self._looks, key=lambda look: (look[1], look[0]))
        return (most - in_flight) / (now - most_at) if now > most_at else 0.0


def bar_text(look: DrainLook, rate: float) -> str:
    """What stands beside a bar: short, for it must fit any terminal."""
    if not look.in_flight:
        return f"0 in flight, waiting for {_waiting(look)}"
    left = f", {age_text(look.in_flight / rate)} left" if rate > 0 else ""
    return f"{look.in_flight:,} in flight, {rate:,.0f}/s{left}"


def progress_sentence(look: DrainLook, rate: float) -> str:
    """How far it is, in one line; `rate` is messages that end per second."""
    oldest = look.oldest
    named = f"; the oldest {oldest.oldest} for {age_text(oldest.oldest_seconds or 0.0)}" if oldest is not None else ""
    return bar_text(look, rate) + named


def _waiting(look: DrainLook) -> str:
    if any(one.uncommitted for one in look.left):
        return "the commit"
    return "the consumers to hold still"


def left_sentences(look: DrainLook) -> list[str]:
    """What isn't drained, a sentence each, the partition with the most in flight first."""
    found = sorted(look.left, key=lambda one: (-one.in_flight, one.place))
    told = [f"{one.place}: {'; '.join(_lacks(one))}" for one in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        told.append(f"and {len(found) - MOST_NAMED:,} more partitions")
    return told


def _lacks(one: PartitionLook) -> list[str]:
    if not one.is_readable:
        return ["its ledger can't be read: a live consumer makes a new one"]
    told = []
    if one.in_flight:
        oldest = "" if one.oldest is None else f", the oldest {one.oldest} for {age_text(one.oldest_seconds or 0.0)}"
        told.append(f"{one.in_flight:,} in flight{oldest}")
    elif one.uncommitted:
        told.append(f"done, and {one.uncommitted:,} offsets not yet committed")
    if one.silent:
        told.append("nobody consumes it, so no retry, dead letter or commit of it is made: start ferry-consumer run")
    elif not one.holds:
        told.append("its consumer has not yet said that it holds still")
    return told
