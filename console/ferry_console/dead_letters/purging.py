"""What a purge removes of a partition: its beginning, up to the first letter that must stay, as Kafka deletes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferry_console.dead_letters.letters import letter_of
from ferry_console.dead_letters.replay_marks import read_marks
from ferry_console.dead_letters.replays import identity_of
from ferry_console.moments import moment_text
from ferry_shared.record import next_offset

if TYPE_CHECKING:
    import redis

    from ferry_console.dead_letters.filters import LetterFilter
    from ferry_console.dead_letters.letters import Letter
    from ferry_console.dead_letters.replay_marks import Mark
    from ferry_console.dead_letters.replays import Identity
    from ferry_console.topic_log import Stretches
    from ferry_shared.record import Record

#: Marks are read for so many letters at once.
BATCH_LETTERS = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are to go: those of the filter, perhaps only the ones that were replayed; with `force` also those
    of which nobody knows whether their replay went out."""

    letters: LetterFilter
    only_replayed: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """The first letter of a partition that stays, and why: the rest of a sentence about it."""

    id: str
    why: str


@dataclass(slots=True)
class Prefix:
    """What goes of one partition: `letters` of them, all that lies from the offset `start` to before `until`.

    `first` stays, and all behind it: `stay` letters, `asked_for` of which were to go.
    """

    start: int
    until: int
    letters: int = 0
    first: Stay | None = None
    stay: int = 0
    asked_for: int = 0

    def note(self, look: _Look, held: str | None) -> None:
        """Count the next letter; `held` is why it must stay although it is asked for."""
        why = look.unasked or held
        if self.first is None and why is None:
            self.letters += 1
            self.until = next_offset(look.offset)
            return
        if self.first is None and why is not None:
            self.first, self.until = Stay(look.id, why), look.offset
        self.stay += 1
        self.asked_for += look.unasked is None

    def take_over(self, second: Prefix) -> None:
        """Only so much of it goes, after a second look at what was to go."""
        self.letters, self.until = second.letters, second.until
        self.first = second.first or self.first
        self.stay += second.stay
        self.asked_for += second.asked_for

    def keep_all(self) -> None:
        """Nothing of it goes, after all."""
        self.stay += self.letters
        self.letters, self.until = 0, self.start


@dataclass(frozen=True, slots=True)
class _Look:
    """What is kept of a letter until its mark is read: `unasked` is why it isn't asked for."""

    partition: int
    offset: int
    id: str
    identity: Identity | None
    unasked: str | None


class Survey:
    """Looks at the letters of one topic, each partition from its beginning, and tells what may go."""

    def __init__(self, client: redis.Redis, key_prefix: str, wanted: Wanted, stretches: Stretches) -> None:
        self._client = client
        self._key_prefix = key_prefix
        self._wanted = wanted
        self._ends = {number: end for number, (_, end) in stretches.items()}
        self._prefixes = {number: Prefix(start, start) for number, (start, _) in stretches.items()}
        self._looks: list[_Look] = []

    def add(self, record: Record) -> None:
        """Look at the next letter of its partition.

        Raises:
            RedisUnavailable: Redis could not be reached.
        """
        letter = letter_of(record)
        unasked = _unasked(letter, record.value, self._wanted.letters)
        self._looks.append(_Look(record.partition, record.offset, letter.id, identity_of(letter), unasked))
        if len(self._looks) >= BATCH_LETTERS:
            self._judge()

    def finish(self, *, complete: bool) -> dict[int, Prefix]:
        """What goes, by partition; `complete`: all letters were added, so that what holds none at its end goes, too.

        Raises:
            RedisUnavailable: Redis could not be reached.
        """
        self._judge()
        for number, prefix in self._prefixes.items():
            if complete and prefix.letters and prefix.first is None:
                prefix.until = self._ends[number]
        return self._prefixes

    def _judge(self) -> None:
        looks, self._looks = self._looks, []
        asked = [(look, look.identity) for look in looks if look.unasked is None and look.identity is not None]
        found = read_marks(self._client, self._key_prefix, [identity for _, identity in asked]) if asked else []
        marks = {look: mark for (look, _), mark in zip(asked, found, strict=True)}
        for look in looks:
            mark = marks.get(look)
            if self._wanted.only_replayed and look.unasked is None and mark is None:
                self._prefixes[look.partition].note(replace(look, unasked="was not replayed"), None)
            else:
                self._prefixes[look.partition].note(look, None if self._may_go(mark) else _being_replayed(mark))

    def _may_go(self, mark: Mark | None) -> bool:
        return mark is None or mark.sent or (self._wanted.force and not self._wanted.only_replayed)


def _unasked(letter: Letter, value: bytes | None, wanted: LetterFilter) -> str | None:
    if wanted.takes(letter, value):
        return None
    if wanted.group in {None, letter.group}:
        return "isn't asked for"
    return f"is of the group {letter.group}" if letter.group else "was not written by Ferry"


def _being_replayed(mark: Mark | None) -> str | None:
    if mark is None:
        return None
    return f"is being replayed by {mark.who} since {moment_text(mark.when_ms)}, or whether it went out isn't known"
