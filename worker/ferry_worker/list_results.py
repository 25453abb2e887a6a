"""Results of a task that took a list: each message's under its own id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferry_worker.failed_messages import FailedMessages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_worker.batched import BatchedMessage


def store_results(task: Any, items: Sequence[BatchedMessage], ended: Any) -> None:
    """Store what a call with `items` returned; of a list as long as theirs, each its own.

    `ended` is what Celery's tracer returned. A call that raised stores nothing: its messages are run one by one.
    """
    if task.ignore_result or ended is None or ended.info is not None:
        return
    returned = ended.retval
    reasons = returned.reasons if isinstance(returned, FailedMessages) else {}
    for index, item in enumerate(items):
        if index in reasons:
            task.backend.mark_as_failure(item.task_id, reasons[index])
        else:
            task.backend.mark_as_done(item.task_id, _value(returned, index, len(items)))


def _value(returned: Any, index: int, count: int) -> Any:
    if isinstance(returned, FailedMessages):
        return None
    return returned[index] if isinstance(returned, list | tuple) and len(returned) == count else returned
