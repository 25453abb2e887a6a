"""Warns before Kafka deletes the record of a message in flight: it could not be read again.

Kafka deletes whole segments, so its log's start moves in steps. What was in flight at the last step already, and would
be passed by another one as long, is in danger; a log whose start has never moved endangers nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ferry_consumer.partition import Partition
    from ferry_consumer.server_clock import ServerClock
    from ferry_shared.record import TopicPartition

log = logging.getLogger("ferry.consumer")

REPEAT_AFTER_MS = 60_000


class Danger(Enum):
    """What retention means for the oldest message in flight."""

    NONE = "none"
    NEAR = "near"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class LogStart:
    """The first offset that Kafka has, by how many offsets it moved last, and when that was seen."""

    offset: int
    step: int = 0
    moved_at_ms: int = 0

    def seen(self, offset: int, now_ms: int) -> LogStart:
        """What is known after looking again."""
        return LogStart(offset, offset - self.offset, now_ms) if offset > self.offset else replace(self, offset=offset)

    def danger(self, lowest: int | None, dispatched_ms: int) -> Danger:
        """Judge the oldest message in flight by its offset and the time of its dispatch."""
        if lowest is None:
            return Danger.NONE
        if lowest < self.offset:
            return Danger.PAST
        outlived_a_step = self.step > 0 and dispatched_ms <= self.moved_at_ms
        return Danger.NEAR if outlived_a_step and lowest < self.offset + self.step else Danger.NONE


class RetentionWatch:
    """Looks at every partition whenever the log ranges have been asked for."""

    def __init__(self, server_clock: ServerClock) -> None:
        self._server_clock = server_clock
        self._starts: dict[TopicPartition, LogStart] = {}
        self._told: dict[TopicPartition, tuple[Danger, int]] = {}

    def look(self, partitions: Iterable[Partition], log_ranges: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Warn of what is in danger: at once, and then once a minute."""
        for partition in partitions:
            place = partition.topic_partition
            if partition.tenure is None or place not in log_ranges:
                continue
            now_ms, offset = self._server_clock.now_ms(), log_ranges[place][0]
            start = self._starts.get(place, LogStart(offset)).seen(offset, now_ms)
            self._starts[place] = start
            self._tell(partition, start.danger(partition.lowest, partition.oldest_ms), now_ms)

    def _tell(self, partition: Partition, danger: Danger, now_ms: int) -> None:
        place = partition.topic_partition
        told, told_ms = self._told.get(place, (Danger.NONE, 0))
        if danger is Danger.NONE:
            self._told.pop(place, None)
        elif danger is not told or now_ms - told_ms >= REPEAT_AFTER_MS:
            self._told[place] = danger, now_ms
            log.warning(
                "%s: the oldest message in flight, offset %d, %s; raise the topic's retention, or add workers",
                place, partition.lowest, _WORDS[danger],
            )  # fmt: skip


_WORDS = {
    Danger.NEAR: "nears the start of Kafka's log",
    Danger.PAST: "has lost its record in Kafka: it still runs, but can't be queued again if its copy is lost",
}
