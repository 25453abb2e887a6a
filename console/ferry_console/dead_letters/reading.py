"""Read dead-letter topics from their ends backwards, no further than is asked for."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_console.dead_letters.letters import Letter, letter_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ferry_console.dead_letters.filters import LetterFilter
    from ferry_console.topic_log import Stretches, TopicLog
    from ferry_shared.record import Record

#: Times within a partition are those of several writers: what was written until a moment can lie this far behind it.
CLOCK_MARGIN_MS = 60_000
#: Offsets that are read forward in one go, on the way back.
FIRST_WINDOW, LARGEST_WINDOW = 100, 10_000


@dataclass(frozen=True, slots=True)
class LetterList:
    """The newest of the letters that were asked for, newest first; `more`: there are others.

    `topics` are the dead-letter topics that are there, `absent` those that are not. Out of `read` records; `complete`
    is False when the time did not suffice, so that some may be missing.
    """

    topics: tuple[str, ...]
    absent: tuple[str, ...]
    found: tuple[Letter, ...]
    more: bool
    read: int
    complete: bool


def read_letters(log: TopicLog, topics: Sequence[str], wanted: LetterFilter, limit: int, seconds: float) -> LetterList:
    """Read the newest `limit` letters that are asked for, as far as the time suffices.

    Raises:
        KafkaUnavailable: Kafka did not answer.
    """
    deadline = time.monotonic() + seconds
    searches = {topic: _partitions(log, topic, wanted, limit) for topic in topics}
    complete = True
    # In rounds, so that a short time goes to what is newest everywhere.
    while complete and (unfinished := [topic for topic in topics if _windows_of(searches[topic])]):
        for topic in unfinished:
            complete = _read_windows(log, topic, searches[topic], deadline) and complete
    parts = [part for found in searches.values() for part in found.values()]
    letters = sorted((letter for part in parts for letter in part.found), key=_newest_first)
    return LetterList(
        tuple(topic for topic in topics if searches[topic]),
        tuple(topic for topic in topics if not searches[topic]),
        tuple(letters[:limit]),
        len(letters) > limit,
        sum(part.read for part in parts),
        complete,
    )


def windows(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut the offsets from `start` to before `end` into pieces, from the end, each twice as long as the one before."""
    size = FIRST_WINDOW
    while start < end:
        begin = max(start, end - size)
        yield begin, end
        end, size = begin, min(2 * size, LARGEST_WINDOW)


@dataclass
class _Partition:
    """One partition on the way back: `ahead` are the pieces to come, `found` is what was asked for, in no order."""

    ahead: Iterator[tuple[int, int]]
    wanted: LetterFilter
    limit: int
    found: list[Letter] = field(default_factory=list)
    read: int = 0
    window: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        # What lies further back is older; one more than asked for tells that there are more.
        self._newest: deque[Letter] = deque(maxlen=self.limit + 1)
        self.go_back()

    def go_back(self) -> None:
        """On to the piece before; none when enough is found."""
        self.found += self._newest
        self._newest.clear()
        self.window = next(self.ahead, None) if len(self.found) <= self.limit else None

    def look_at(self, record: Record) -> None:
        """Keep what is asked for."""
        self.read += 1
        letter = letter_of(record)
        if self.wanted.takes(letter, record.value):
            self._newest.append(letter)


def stretches_in_time(log: TopicLog, topic: str, wanted: LetterFilter) -> Stretches:
    """The part of each partition in which the letters of the time that is asked for lie; empty: no such topic.

    Raises:
        KafkaUnavailable: Kafka did not answer.
    """
    whole = log.whole(topic)
    starts = {number: start for number, (start, _) in whole.items()}
    ends = {number: end for number, (_, end) in whole.items()}
    if wanted.since_ms is not None:
        starts = log.first_since(topic, whole, wanted.since_ms)
    if wanted.until_ms is not None:
        ends = log.first_since(topic, whole, wanted.until_ms + CLOCK_MARGIN_MS)
    return {number: (starts[number], ends[number]) for number in whole}


def _partitions(log: TopicLog, topic: str, wanted: LetterFilter, limit: int) -> dict[int, _Partition]:
    stretches = stretches_in_time(log, topic, wanted)
    return {number: _Partition(windows(*stretch), wanted, limit) for number, stretch in stretches.items()}


def _windows_of(parts: Mapping[int, _Partition]) -> Stretches:
    return {number: part.window for number, part in parts.items() if part.window}


def _read_windows(log: TopicLog, topic: str, parts: Mapping[int, _Partition], deadline: float) -> bool:
    """Read the next piece of each partition; tells whether the time sufficed."""
    stretches = _windows_of(parts)
    sufficed = log.read(topic, stretches, deadline, lambda record: parts[record.partition].look_at(record))
    for number in stretches:
        parts[number].go_back()
    return sufficed


def _newest_first(letter: Letter) -> tuple[int, str, int, int]:
    return -(letter.written_ms or 0), letter.place.topic, letter.place.partition, -letter.offset
