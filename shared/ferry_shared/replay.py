"""The mark of a replay: a dead letter that was sent again as a new record of its topic, for one group.

A topic can have several consumer groups. The message failed in one of them; the others have had it, and pass the new
record over. The mark is a header with the task id of the dead letter, which names group and place: a replay lies in the
same partition, behind it. Where a record is copied elsewhere with its headers, the mark means nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_shared.record import TaskId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferry_shared.record import TopicPartition

REPLAY_HEADER = "ferry.replay-of"


def replay_of(headers: Iterable[tuple[str, bytes | None]], place: TopicPartition, offset: int) -> TaskId | None:
    """The task whose dead letter was sent again as the record at this place; None for any other record.

    Of several marks the last one counts: whoever sends a record again adds to what it has.
    """
    mark = None
    for name, value in headers:
        if name == REPLAY_HEADER:
            mark = value
    if mark is None:
        return None
    try:
        task_id = TaskId.parse(mark.decode())
    except ValueError:
        return None
    return task_id if (task_id.topic, task_id.partition) == place and task_id.last < offset else None
