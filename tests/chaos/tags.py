"""A delivery tag taken apart: which copy of which task it is, one message's or a batch's. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tests.chaos.monitor_lines import Cause

#: The entry of a batch: first and last offset, and how many messages; a topic's name doesn't end like that here.
_BATCH = re.compile(r"(?P<place>.+-\d+)-(?P<first>\d+)-(?P<last>\d+)-(?P<count>\d+)")


@dataclass(frozen=True, slots=True)
class Tag:
    """Ledger/task/epoch.attempt.copy. `task` is a task id, or for a batch topic-partition-first-last-count."""

    ledger: str
    task: str
    epoch: int
    attempt: int
    copy: int

    @classmethod
    def of(cls, tag: str) -> Tag:
        """Raises ValueError where it isn't one of Ferry's."""
        ledger, task, numbers = tag.rsplit("/", 2)
        epoch, attempt, copy = map(int, numbers.split("."))
        return cls(ledger, task, epoch, attempt, copy)

    @property
    def is_batch(self) -> bool:
        """Whether it stands for several messages."""
        return _BATCH.fullmatch(self.task) is not None

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Those of its messages; the topic of the runs has no gaps."""
        match = _BATCH.fullmatch(self.task)
        if match is None:
            return (self.task,)
        return tuple(f"{match['place']}-{offset}" for offset in range(int(match["first"]), int(match["last"]) + 1))

    def is_attempt_after(self, asked: Tag) -> bool:
        """Whether its copy is of the attempt for which one with that tag, its own or its batch's, has asked."""
        same = (self.ledger, self.epoch) == (asked.ledger, asked.epoch)
        return same and self.attempt == asked.attempt + 1 and self.task in {asked.task, *asked.task_ids}

    def __str__(self) -> str:
        return f"{self.ledger}/{self.task}/{self.epoch}.{self.attempt}.{self.copy}"


def task_in(tag: str) -> str:
    """What a tag has for its task; empty for what isn't Ferry's, as the status that beat publishes."""
    return tag.partition("/")[2].rpartition("/")[0]


def is_batch(tag: str) -> bool:
    """Whether a copy with that tag carries several messages."""
    return _BATCH.fullmatch(task_in(tag)) is not None


def copy_before(tag: str) -> str | None:
    """The tag of the copy that this one replaces; None for the first of a token."""
    parts = Tag.of(tag)
    return str(replace(parts, copy=parts.copy - 1)) if parts.copy > 1 else None


def first_cause(tag: str, *, left_batch: bool = False) -> Cause:
    """Who queued a copy for the first time, as its tag tells, and whether its message had been in a batch before."""
    parts = Tag.of(tag)
    if parts.copy != 1:
        return Cause.REDELIVERY
    if parts.attempt == 1:
        return Cause.DISPATCH
    return Cause.LEFT_BATCH if left_batch else Cause.RETRY
