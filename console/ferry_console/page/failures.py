"""Failures by task: a topic has one task, so its dead letters are that task's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_console.status.group_status import GroupStatus, PartitionView


@dataclass(frozen=True, slots=True)
class TaskFailures:
    """Of the messages of `topic`: how many became `dead_letters` since the ledgers began.

    `task` is None where the routes don't tell. `untracked` is how often a task that isn't tracked received one.
    """

    topic: str
    task: str | None
    dead_letters: int
    untracked: int


def failures_by_task(status: GroupStatus, tasks: Mapping[str, str]) -> list[TaskFailures]:
    """One for each topic, the most failures first; `tasks` is by topic."""
    by_topic: dict[str, list[PartitionView]] = {topic: [] for topic in tasks}
    for view in status.partitions:
        by_topic.setdefault(view.place.topic, []).append(view)
    found = [_of_topic(topic, tasks.get(topic), views) for topic, views in by_topic.items()]
    return sorted(found, key=lambda one: (-one.dead_letters - one.untracked, one.topic))


def _of_topic(topic: str, task: str | None, views: Sequence[PartitionView]) -> TaskFailures:
    return TaskFailures(
        topic,
        task,
        sum(view.dead_letters for view in views),
        sum(found.count for view in views for found in view.untracked),
    )
