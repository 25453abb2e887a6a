"""Whose messages a Celery message in the queue carries: one task's, or those of each message of a batch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ferry_shared.record import TaskId

# As they stand in the message, and as MONITOR prints it.
_TASK_ID = re.compile(rb'\\?"id\\?": ?\\?"([^"\\]+)\\?"')
_OFFSETS = re.compile(rb'\\?"offsets\\?": ?\[([\d, ]+)\]')


def queued_ids(text: bytes) -> Iterator[str]:
    """The task ids of single messages in a text that holds any number of Celery messages."""
    found = list(_TASK_ID.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=False):
        task_id = match[1].decode()
        offsets = _OFFSETS.search(text, match.end(), end)
        yield from [task_id] if offsets is None else batched_ids(task_id, map(int, offsets[1].split(b",")))


def last_ids(task_id: str, count: int) -> list[str]:
    """The ids of the last so many messages of a batch; a topic of tests has no gaps."""
    task = TaskId.parse(task_id)
    return list(batched_ids(task_id, range(task.last + 1 - count, task.last + 1)))


def all_ids(task_id: str) -> list[str]:
    """The ids of all messages of a batch, or a single message's own; a topic of tests has no gaps."""
    task = TaskId.parse(task_id)
    return list(batched_ids(task_id, range(task.first, task.last + 1)))


def batched_ids(task_id: str, offsets: Iterable[int]) -> Iterator[str]:
    """The ids of a batch's messages with these offsets."""
    task = TaskId.parse(task_id)
    return (replace(task, first=offset, last=offset).text for offset in offsets)
