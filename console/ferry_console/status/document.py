"""A group's status as one JSON object, for programs. docs/operate.md explains each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_console.moments import moment_text
from ferry_console.status.warnings import warnings
from ferry_shared.ledger.untracked import Obstacle

if TYPE_CHECKING:
    from ferry_console.status.group_status import GroupStatus, PartitionView, PauseView


def document(status: GroupStatus, old_after_seconds: float) -> dict[str, Any]:
    """The whole status; seconds are numbers, moments ISO 8601 in UTC, what isn't known is null."""
    views = status.partitions
    return {
        "group": status.group,
        "at": moment_text(status.at_ms),
        "served": status.is_served,
        "consumers": status.consumers,
        "totals": {
            "partitions": len(views),
            "silent": len(status.silent),
            "paused": sum(view.pause is not None for view in views),
            "backlog": sum(view.backlog for view in views),
            "lag": sum(view.lag for view in views),
            "in_flight": sum(view.in_flight for view in views),
            "oldest_seconds": max((view.oldest_seconds or 0.0 for view in views), default=0.0),
            "dead_letters": sum(view.dead_letters for view in views),
            "restored": sum(view.restored for view in views),
            "rewound": sum(view.rewound for view in views),
        },
        "partitions": [_partition(view) for view in views],
        "queues": [
            {"queue": view.queue, "workers": view.workers, "topics": list(view.topics), "in_flight": view.in_flight}
            for view in status.queues
        ],
        "warnings": warnings(status, old_after_seconds),
    }


def _partition(view: PartitionView) -> dict[str, Any]:
    return {
        "topic": view.place.topic,
        "partition": view.place.partition,
        "ledger": str(view.ledger),
        "log_end": view.log_end,
        "committed": view.committed,
        "position": view.position,
        "in_flight": view.in_flight,
        "oldest_task_id": view.oldest,
        "oldest_seconds": view.oldest_seconds,
        "backlog": view.backlog,
        "lag": view.lag,
        "dead_letters": view.dead_letters,
        "restored": view.restored,
        "rewound": view.rewound,
        "untracked": _received(view, Obstacle.UNTRACKED),
        "unknown": _received(view, Obstacle.UNKNOWN),
        "paused": _pause(view.pause),
        "consumer": view.consumer,
        "heard_seconds_ago": view.word_age_seconds,
        "silent": view.silent,
    }


def _received(view: PartitionView, obstacle: Obstacle) -> dict[str, int]:
    return {found.task: found.count for found in view.untracked if found.obstacle is obstacle}


def _pause(pause: PauseView | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    when = moment_text(pause.when_ms) if pause.when_ms else None
    return {"reason": pause.reason, "who": pause.who, "when": when, "why": pause.why}
