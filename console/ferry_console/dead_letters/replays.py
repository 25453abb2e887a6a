"""What is sent when a dead letter is replayed: the record that it was, with a mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.dead_letters.letters import letter_of, split
from ferry_shared.record import TaskId, is_topic_name
from ferry_shared.replay import REPLAY_HEADER

if TYPE_CHECKING:
    from ferry_console.dead_letters.letters import Headers, Letter
    from ferry_shared.record import Record, TopicPartition

#: Stands in a dead letter for headers that the consumer could not read (ferry_consumer.dispatch).
_UNREADABLE_HEADERS = "ferry.headers-unreadable"
#: Kafka's protocol has 32 bits for it.
_HIGHEST_PARTITION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a message from every other one of its group, by its dead letter: a task id comes again when a topic is
    created anew, the same id with the same time (both are in `field`) doesn't."""

    task_id: TaskId
    field: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A record to be sent to its topic and partition again. `task_id` and `field` are those of the dead letter
    (`Identity`), which lies at `letter_place` and `letter_offset`."""

    task_id: TaskId
    field: str
    letter_place: TopicPartition
    letter_offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def topic(self) -> str:
        """Where it came from, and goes to."""
        return self.task_id.topic

    @property
    def partition(self) -> int:
        """The partition of it."""
        return self.task_id.partition

    @property
    def size_bytes(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


@dataclass(frozen=True, slots=True)
class Unfit:
    """A dead letter that can't be sent again, by its id, and `why`: the rest of a sentence about it."""

    id: str
    why: str


def prepared(record: Record, suffix: str, *, force: bool) -> Replay | Unfit:
    """Make of a dead letter the record that it was; with `force` also what is no longer the same as it was sent.

    `suffix` is what the names of dead-letter topics end with: a letter leads to the topic of its own, and nowhere else.
    """
    letter = letter_of(record)
    own, added = split(record.headers)
    if not added:
        return Unfit(letter.id, "was not written by Ferry: where it came from isn't known")
    identity = identity_of(letter)
    if identity is None:
        return Unfit(letter.id, "doesn't tell where it came from")
    if not _agrees(letter, identity.task_id, suffix):
        return Unfit(letter.id, "tells of two places or groups: Ferry has not written it so")
    if why := _lack(letter, own, force=force):
        return Unfit(letter.id, why)
    # Neither the mark of an earlier replay was in the record that was sent first, nor what stands for lost headers.
    headers = tuple(pair for pair in own if pair[0] not in {REPLAY_HEADER, _UNREADABLE_HEADERS})
    mark = (REPLAY_HEADER, identity.task_id.text.encode())
    return Replay(
        identity.task_id, identity.field, letter.place, letter.offset, record.key, record.value, (*headers, mark)
    )


def identity_of(letter: Letter) -> Identity | None:
    """By what a replay marks the letter; None where it doesn't tell, so that it can't be replayed."""
    try:
        task_id = TaskId.parse(letter.task_id or "")
    except ValueError:
        return None
    if not is_topic_name(task_id.topic) or task_id.partition > _HIGHEST_PARTITION or task_id.is_batch:
        return None
    timestamp = "" if letter.origin.timestamp_ms is None else letter.origin.timestamp_ms
    return Identity(task_id, f"{task_id.text}/{timestamp}")


def _agrees(letter: Letter, task_id: TaskId, suffix: str) -> bool:
    """Whoever may write into a dead-letter topic may not choose with it where an operator's replay goes."""
    origin = letter.origin
    return (
        letter.place.topic == task_id.topic + suffix
        and (origin.topic, origin.partition, origin.offset) == (task_id.topic, task_id.partition, task_id.first)
        and letter.group == task_id.group
    )


def _lack(letter: Letter, own: Headers, *, force: bool) -> str | None:
    """What it lacks of the record that it was."""
    if letter.omitted:
        parts = " and ".join(part for part, _ in letter.omitted)
        return f"lacks its {parts}, which did not fit into {letter.place.topic}: copy its record"
    if force:
        return None
    if letter.reconstructed:
        return "isn't as it was sent, for Kafka no longer had its record; --force sends what there is"
    if _UNREADABLE_HEADERS in dict(own):
        return "has lost headers that could not be read; --force sends it without them"
    return None
