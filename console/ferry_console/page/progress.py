"""How fast a group works, from two looks at its ledgers: what has ended between them, and what of that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferry_console.status.group_status import GroupStatus
    from ferry_shared.record import TopicPartition

#: Looks that lie further apart tell nothing of the time between them.
LONGEST_GAP_MS = 30_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What a group's ledgers say at `at_ms`, Redis' clock: per partition how many offsets have ended well, and badly.

    Both count from an unknown beginning: only differences mean something.
    """

    at_ms: int
    done: Mapping[TopicPartition, int]
    dead: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """A group at `at_ms`. Messages a second are None where there is no look before to compare with."""

    at_ms: int
    done_per_second: float | None
    dead_per_second: float | None
    backlog: int
    in_flight: int


def counts_of(status: GroupStatus) -> Counts:
    """Read them; a partition without a ledger has none."""
    known = [view for view in status.partitions if view.position is not None]
    return Counts(
        status.at_ms,
        {view.place: (view.position or 0) - view.in_flight - view.dead_letters for view in known},
        {view.place: view.dead_letters for view in known},
    )


def sample_of(status: GroupStatus, before: Counts | None) -> Sample:
    """One point of the charts."""
    now = counts_of(status)
    seconds = 0.0 if before is None else (now.at_ms - before.at_ms) / 1000
    done, dead = None, None
    if before is not None and 0 < seconds <= LONGEST_GAP_MS / 1000:
        done, dead = _rate(before.done, now.done, seconds), _rate(before.dead, now.dead, seconds)
    return Sample(
        now.at_ms,
        done,
        dead,
        sum(view.backlog for view in status.partitions),
        sum(view.in_flight for view in status.partitions),
    )


def _rate(before: Mapping[TopicPartition, int], now: Mapping[TopicPartition, int], seconds: float) -> float | None:
    """Per second; a partition that went back (an operator's rewind, a ledger made anew) counts as standing still."""
    both = before.keys() & now.keys()
    if not both:
        return None
    return sum(max(0, now[place] - before[place]) for place in both) / seconds
