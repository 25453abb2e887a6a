"""Results of a task that took a list: each message's under its own id."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import states
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import EncodeError

from ferry_worker.failed_messages import FailedMessages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_worker.batched import BatchedList

log = logging.getLogger("ferry.worker")


def store_results(task: Any, run: BatchedList, ended: Any) -> None:
    """Store what became of the messages of a call, as Celery does for single ones; `ended` is its tracer's answer.

    A call that raised leaves its messages undecided: they are run one by one, and have their results then.

    Raises:
        SoftTimeLimitExceeded: it struck meanwhile; the results that are missing stay so.
    """
    if task.ignore_result and not task.store_errors_even_if_ignored:
        return
    try:
        for state, task_id, value in results_of(run, ended):
            if state == states.SUCCESS and task.ignore_result:
                continue
            try:
                task.backend.store_result(task_id, value, state)
            except EncodeError as error:
                task.backend.store_result(task_id, error, states.FAILURE)
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        # Any backend's: the messages have ended, and each further one would wait as long for it.
        log.exception("results of a batch could not be stored")


def results_of(run: BatchedList, ended: Any) -> Iterator[tuple[str, str, Any]]:
    """State, task id and value or exception of each message that the call has decided."""
    for item, reason in run.failed:
        yield states.FAILURE, item.task_id, reason
    if ended is None or not run.recorded:
        return
    failed = {item.task_id for item, _ in run.failed}
    for index, item in enumerate(run.items):
        if item.task_id in failed:
            continue
        if ended.info is None:
            yield states.SUCCESS, item.task_id, _value(ended.retval, index, len(run.items))
        elif ended.info.state == states.RETRY:
            yield states.RETRY, item.task_id, ended.info.retval.exc


def _value(returned: Any, index: int, count: int) -> Any:
    """Of a list as long as the call's, each message's own; of anything else, the same for all."""
    if isinstance(returned, FailedMessages):
        return None
    return returned[index] if isinstance(returned, list | tuple) and len(returned) == count else returned
