"""A record's place in Kafka, and the task ids that tell it: `messages-0-4711` is topic, partition, offset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

DEFAULT_GROUP = "ferry"
MAX_TOPIC_CHARACTERS = 249
TOPIC_NAME_EXPECTED = f"expected a topic name: 1 to {MAX_TOPIC_CHARACTERS} letters, digits, dots, underscores, hyphens"
_TASK_ID = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249})-(?P<partition>[0-9]{1,10})-(?P<first>[0-9]{1,19})(\.\.(?P<last>[0-9]{1,19}))?"
    r"(@(?P<group>.+))?",
    re.DOTALL,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record, unchanged. `timestamp_ms` counts from 1970 and can be negative, or None when Kafka has none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def topic_partition(self) -> TopicPartition:
        """Where it lies."""
        return TopicPartition(self.topic, self.partition)

    @property
    def size_bytes(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def next_offset(self) -> int:
        """The position after this record."""
        return next_offset(self.offset)


def is_topic_name(name: object) -> bool:
    """Tell whether Kafka takes a topic of that name (org.apache.kafka.common.internals.Topic)."""
    legal = isinstance(name, str) and re.fullmatch("[A-Za-z0-9._-]+", name) and len(name) <= MAX_TOPIC_CHARACTERS
    return bool(legal) and name not in {".", ".."}


def next_offset(offset: int) -> int:
    """Return the position after `offset`: what a consumer commits once that record is done."""
    return offset + 1


@dataclass(frozen=True, slots=True)
class TaskId:
    """Where a task comes from. A batch holds the offsets `first` to `last`, a single task one offset, twice."""

    group: str
    topic: str
    partition: int
    first: int
    last: int

    @property
    def text(self) -> str:
        """`messages-0-4711`, for a batch `messages-0-4711..4810`; `@group` follows unless it is the default group."""
        offsets = str(self.first) if self.first == self.last else f"{self.first}..{self.last}"
        return f"{self.topic}-{self.partition}-{offsets}{group_suffix(self.group)}"

    @property
    def is_batch(self) -> bool:
        """Whether it stands for several messages."""
        return self.first != self.last

    @classmethod
    def parse(cls, text: str) -> TaskId:
        """Read a task id.

        Raises:
            ValueError: it isn't one of Ferry's.
        """
        match = _TASK_ID.fullmatch(text)
        if match:
            first = int(match["first"])
            last = int(match["last"] or first)
            task_id = cls(match["group"] or DEFAULT_GROUP, match["topic"], int(match["partition"]), first, last)
            if first <= last and task_id.text == text:
                return task_id
        raise ValueError(f"{text!r} is no task id of Ferry's: expected topic-partition-offset")


def group_suffix(group: str) -> str:
    """What a task id ends with, so that two groups on one topic never share an id."""
    return "" if group == DEFAULT_GROUP else f"@{group}"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the worker knows of a task's record."""

    task_id: TaskId
    timestamp_ms: int | None

    @property
    def timestamp(self) -> datetime:
        """The record's timestamp; the present time when there is none or it is outside the calendar."""
        if self.timestamp_ms is None:
            return datetime.now(UTC)
        try:
            return _EPOCH + timedelta(milliseconds=self.timestamp_ms)
        except OverflowError:
            return datetime.now(UTC)
