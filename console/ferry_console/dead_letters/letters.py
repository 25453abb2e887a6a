"""A record of a dead-letter topic, read as what Ferry's consumer (or somebody else) wrote there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_shared.record import Record, TopicPartition

Headers = tuple[tuple[str, bytes | None], ...]

#: The first of the headers that the consumer adds, and one that only Ferry adds (ferry_consumer.dead_letters).
_FIRST_ADDED, _TASK_ID = "__dlq.errors.topic", "ferry.task-id"
_OMITTED = re.compile(r"ferry\.(key|value|headers)-omitted")
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """The record that became a dead letter; what nobody wrote down is None."""

    topic: str | None
    partition: int | None
    offset: int | None
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its content.

    `place`, `offset` and `written_ms` say where it lies and since when; all else is None or empty where nobody wrote it
    down. `error` is `reason: detail`. `deliveries` counts messages queued for the task. `reconstructed`: Kafka no
    longer had the record, so the value is what the task was called with. `omitted` are the parts that its topic did not
    take, and how large they were.
    """

    place: TopicPartition
    offset: int
    written_ms: int | None
    task_id: str | None
    reason: str | None
    error: str | None
    group: str | None
    deliveries: int | None
    origin: Origin
    reconstructed: bool
    omitted: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """What `ferry dead-letters show` takes: the task id, or where the letter lies if it has none."""
        return self.task_id or f"{self.place}-{self.offset}"

    @property
    def detail(self) -> str:
        """The error without its reason."""
        error = self.error or ""
        prefix = f"{self.reason}:"
        return error.removeprefix(prefix).strip() if self.reason else error


def letter_of(record: Record) -> Letter:
    """Read the headers; anything may stand in them."""
    _, added = split(record.headers)
    told = {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in added or record.headers}
    return Letter(
        record.topic_partition,
        record.offset,
        record.timestamp_ms,
        told.get(_TASK_ID),
        told.get("ferry.reason"),
        told.get("__dlq.errors.message"),
        told.get("__dlq.errors.group"),
        _number(told, "__dlq.errors.delivery.count"),
        _origin(told),
        told.get("ferry.reconstructed") == "true",
        tuple((match[1], text) for name, text in told.items() if (match := _OMITTED.fullmatch(name))),
    )


def split(headers: Sequence[tuple[str, bytes | None]]) -> tuple[Headers, Headers]:
    """The headers that the record had, and those that Ferry's consumer added behind them (none: it wasn't Ferry's).

    A sender can write any header, also those of Ferry: the last ones are the consumer's.
    """
    names = [name for name, _ in headers]
    if _FIRST_ADDED in names:
        first = len(names) - 1 - names[::-1].index(_FIRST_ADDED)
        if _TASK_ID in names[first:]:
            return tuple(headers[:first]), tuple(headers[first:])
    return tuple(headers), ()


def _origin(told: Mapping[str, str]) -> Origin:
    return Origin(
        told.get("x-original-topic", told.get(_FIRST_ADDED)),
        _number(told, "x-original-partition", "__dlq.errors.partition"),
        _number(told, "x-original-offset", "__dlq.errors.offset"),
        _number(told, "x-original-timestamp"),
    )


def _number(told: Mapping[str, str], *names: str) -> int | None:
    """The first of these headers that is a number."""
    return next((int(told[name]) for name in names if _NUMBER.fullmatch(told.get(name, ""))), None)
