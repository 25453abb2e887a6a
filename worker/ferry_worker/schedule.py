"""What beat asks for."""

from __future__ import annotations

from typing import Any

STATUS_TASK = "ferry.status"
#: A queue of its own: behind a backlog of messages the line would come when nobody needs it any more.
STATUS_QUEUE = "ferry.status"


def beat_schedule(status_interval_seconds: float) -> dict[str, Any]:
    """Return the schedule: a status line every so many seconds, dropped when it is older than that."""
    return {
        STATUS_TASK: {
            "task": STATUS_TASK,
            "schedule": status_interval_seconds,
            "options": {"expires": status_interval_seconds, "queue": STATUS_QUEUE, "ignore_result": True},
        }
    }
