"""Celery's tracer without what nobody looks at: for a task of a few microseconds the tracer is most of its time.

Where nobody observes a task that ends well, it is run within its request, and nothing else is done. What it raises is
raised again for Celery's own tracer: failures, retries and the like are its affair, with all their signals.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import signals
from celery._state import _task_stack
from celery.app.task import Context
from celery.app.trace import task_has_custom
from celery.backends.base import DisabledBackend
from celery.exceptions import SoftTimeLimitExceeded
from celery.loaders.base import BaseLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

#: The request's field with what the task has raised: it is raised again in place of a run.
RAISED_FIELD = "ferry_raised"

_SIGNALS = (signals.task_prerun, signals.task_postrun, signals.task_success)
_HANDLERS = ("before_start", "on_success", "after_return")
_LOADER_HOOKS = ("on_task_init", "on_process_cleanup")
_trace_log = logging.getLogger("celery.app.trace")


def is_unobserved(task: Any, trace: Callable[..., Any]) -> bool:
    """Tell whether nobody would notice that a task was begun and ended well, besides the task itself.

    Nobody by Celery's own means, and nobody who has put a tracer of its own around Celery's, as Sentry does, or
    something else around the task that the tracer calls, as New Relic does.
    """
    keeps_results = not task.ignore_result and not isinstance(task.backend, DisabledBackend)
    loader = type(task.app.loader)
    return _is_celerys(trace, task) and not (
        keeps_results
        or any(signal.receivers for signal in _SIGNALS)
        or any(task_has_custom(task, handler) for handler in _HANDLERS)
        or any(getattr(loader, hook) is not getattr(BaseLoader, hook) for hook in _LOADER_HOOKS)
        or _trace_log.isEnabledFor(logging.INFO)
    )


def _is_celerys(trace: Callable[..., Any], task: Any) -> bool:
    """Whether Celery made this tracer, for this very task (`build_tracer` keeps it in a cell named `task`)."""
    code = getattr(trace, "__code__", None)
    if code is None or code.co_filename != task_has_custom.__code__.co_filename:
        return False
    cells = dict(zip(code.co_freevars, getattr(trace, "__closure__", None) or (), strict=False))
    return "task" in cells and cells["task"].cell_contents is task


class UnobservedRuns:
    """Runs messages of a batch within requests of their own, while its task is Celery's `current_task`.

    `with UnobservedRuns(task, trace, request) as runs:`; `request` is the batch's, whose fields all of them share.
    """

    def __init__(self, task: Any, trace: Callable[..., Any], request: Mapping[str, Any]) -> None:
        self._task = task
        self._trace = trace
        self._fields = vars(Context(request, called_directly=False))
        #: Celery's stack of the task's requests, and where those of the messages begin there.
        self._requests: list[Context] = []
        self._first = 0

    def __enter__(self) -> Self:
        """Begin with a request of nobody: Celery makes the stack anew whenever it has become empty."""
        _task_stack.push(self._task)
        self._task.request_stack.push(Context())
        self._requests = self._task.request_stack.stack
        self._first = len(self._requests)
        return self

    def __exit__(self, *_: object) -> None:
        """End with what was there before."""
        # A soft time limit can strike right behind a push, and a task can pop what isn't its own.
        self._requests[self._first - 1 :] = [Context()]
        self._task.request_stack.pop()
        _task_stack.pop()

    def run(self, task_id: str, payload: Any, fields: Mapping[str, Any]) -> Any:
        """Run one; returns what Celery's tracer returns where it raised, None if it didn't.

        `fields` are those in which its request differs from the batch's.
        """
        raised: Exception | None = None
        # What Context's __init__ makes of the fields, made once, is copied.
        context = Context.__new__(Context)
        vars(context).update(self._fields, args=[payload], kwargs={})
        vars(context).update(fields)
        self._requests.append(context)
        try:
            self._task.run_batched(context, payload)
        except SoftTimeLimitExceeded:
            # Not out of the task, which has its own end by it: it struck in between.
            raise
        except Exception as error:  # noqa: BLE001 - a user's task: anything can come out of it
            raised = error
        finally:
            del self._requests[self._first :]
        if raised is None:
            return None
        # What the task has left in its request, its handlers find there.
        return self._trace(task_id, [payload], {}, {**vars(context), RAISED_FIELD: raised})
