"""What an ended task leaves in memory is freed at once.

An exception that came out of a task holds, by its traceback, the frame of Celery's tracer, whose variables hold the
exception: a cycle, with a copy of the traceback of some 200 KB (billiard's `ExceptionInfo`). Python's collector counts
objects, not bytes, and comes by after hundreds of failures: each pool process of a worker grew by 100 MB.
"""

from __future__ import annotations

from typing import Any

from celery import signals, states


def forget_tracebacks(error: BaseException) -> None:
    """Take the tracebacks off an exception and all that it was caused by, raised during, or wraps."""
    known: dict[int, BaseException] = {}
    open_ends = [error]
    while open_ends:
        found = open_ends.pop()
        if id(found) in known:
            continue
        known[id(found)] = found
        found.__traceback__ = None
        wrapped = getattr(found, "exc", None), *getattr(found, "exceptions", ())
        linked = (found.__cause__, found.__context__, *wrapped)
        open_ends += [other for other in linked if isinstance(other, BaseException)]


@signals.task_postrun.connect(weak=False)
def _forget_when_over(sender: Any, retval: Any, state: str | None, **_: Any) -> None:
    if state != states.SUCCESS and isinstance(retval, BaseException) and sender.request.get("ferry_attempt"):
        forget_tracebacks(retval)
