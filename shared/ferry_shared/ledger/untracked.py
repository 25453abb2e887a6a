"""Which tasks have received a partition's messages and can't run them: the ledger's head counts them by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferry_shared.record import TopicPartition

#: For so long after the last receipt people are told: longer than a message waits for its next delivery.
RECENT_MS = 3_600_000
#: More partitions are counted, not listed.
MOST_NAMED = 3
_VALUE = re.compile(r"(?P<count>[0-9]{1,15}):(?P<last_ms>[0-9]{1,15})", re.ASCII)


class Obstacle(StrEnum):
    """Why a worker can't run a task for Ferry: it isn't tracked, or the worker's app doesn't know it.

    The values are what the fields in the ledger's head begin with.
    """

    UNTRACKED = "untracked"
    UNKNOWN = "unknown"


_OBSTACLES = frozenset(Obstacle)


@dataclass(frozen=True, slots=True, order=True)
class Untracked:
    """How often messages of a partition have come to the task `task`, which can't run them, and when last.

    `last_ms` is milliseconds since 1970 by Redis' clock.
    """

    task: str
    count: int
    last_ms: int
    obstacle: Obstacle = Obstacle.UNTRACKED

    def is_recent(self, now_ms: int) -> bool:
        """Whether that is still worth a line at `now_ms`."""
        return now_ms - self.last_ms <= RECENT_MS


def untracked_of(head: Mapping[str, str]) -> tuple[Untracked, ...]:
    """Read a head's fields, in the order of the tasks' names; what isn't understood is left out."""
    return tuple(sorted(_readable(head)))


def untracked_sentences(found: Mapping[TopicPartition, Sequence[Untracked]], now_ms: int) -> list[str]:
    """Tell of each task that has lately received messages, by the names of the partitions, and what to do about it."""
    by_task: dict[tuple[str, Obstacle], dict[TopicPartition, int]] = {}
    for place, receipts in sorted(found.items()):
        for one in receipts:
            if one.is_recent(now_ms):
                by_task.setdefault((one.task, one.obstacle), {})[place] = one.count
    return [_sentence(task, obstacle, counts) for (task, obstacle), counts in sorted(by_task.items())]


def _sentence(task: str, obstacle: Obstacle, counts: Mapping[TopicPartition, int]) -> str:
    places = [str(place) for place in counts]
    more = f" and {len(places) - MOST_NAMED:,} more" if len(places) > MOST_NAMED else ""
    named, times = f"{', '.join(places[:MOST_NAMED])}{more}", f"{sum(counts.values()):,} times"
    if obstacle is Obstacle.UNKNOWN:
        return (
            f"the task {task!r} isn't known to a worker that received messages of {named} {times}, and ran none; name "
            "its module in that worker's FERRY_IMPORTS, or in the imports of your own app"
        )
    return (
        f"the task {task!r} isn't tracked: it received messages of {named} {times}, and ran none; "
        "its base class must be ferry_worker.TrackedTask"
    )


def _readable(head: Mapping[str, str]) -> Iterable[Untracked]:
    for field, value in head.items():
        obstacle, colon, task = field.partition(":")
        match = _VALUE.fullmatch(value)
        if match and colon and obstacle in _OBSTACLES:
            yield Untracked(task, int(match["count"]), int(match["last_ms"]), Obstacle(obstacle))
