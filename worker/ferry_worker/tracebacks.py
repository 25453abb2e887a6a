"""What an ended task leaves in memory is freed at once.

An exception that came out of a task holds, by its traceback, the frame of Celery's tracer, whose variables hold the
exception: a cycle, with a copy of the traceback of some 200 KB (billiard's `ExceptionInfo`). Python's collector counts
objects, not bytes, and comes by after hundreds of failures: each pool process of a worker grew by 100 MB.
"""

from __future__ import annotations

from typing import Any


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


def forget_when_over(ended: Any) -> None:
    """The same for what Celery's tracer returns of a task that raised, when its signals and results are through.

    Not as a receiver of its signal `task_postrun`: sending that costs as much as a short task.
    """
    if ended.info is not None and isinstance(ended.info.retval, BaseException):
        forget_tracebacks(ended.info.retval)
