"""A worker's parent stands still while the garbage collector looks through it: here is less to look through.

Two things fill it: what was loaded at its start, and kombu's timers. A task's time limit is a timer; it is cancelled
when the task ends, but kombu keeps it until the limit would have passed: 120,000 of them at 400 tasks a second and a
limit of 300 s. A third of those made the collector take 300 ms.
"""

from __future__ import annotations

import gc
from heapq import heapify
from typing import Any

from celery import bootsteps, signals
from celery.worker.consumer.tasks import Tasks
from kombu.asynchronous.timer import Timer

from ferry_shared.collector import leave_out_what_is_here

LOOK_EVERY_SECONDS = 1.0
#: Fewer aren't worth a look.
FEW_TIMERS = 1_000


class CancelledTimers(bootsteps.StartStopStep):
    """Forgets them whenever there may be as many as others."""

    requires = (Tasks,)
    _timer: Any = None

    def start(self, consumer: Any) -> None:
        """Look every second; pools without an event loop have no such timers."""
        if isinstance(consumer.timer, Timer):
            self._most = FEW_TIMERS
            self._timer = consumer.timer.call_repeatedly(LOOK_EVERY_SECONDS, self._forget, (consumer.timer,))

    def stop(self, _consumer: Any) -> None:
        """Look no more, until the connection is there again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self, timer: Timer) -> None:
        events = timer._queue
        if len(events) < self._most:
            return
        # The loop holds this very list.
        events[:] = [event for event in events if not event.entry.canceled]
        heapify(events)
        self._most = FEW_TIMERS + 2 * len(events)


@signals.worker_ready.connect(weak=False)
def _leave_out_what_the_parent_has(**_: Any) -> None:
    leave_out_what_is_here()


@signals.worker_process_init.connect(weak=False)
def _leave_out_what_was_inherited(**_: Any) -> None:
    # Not collected before: looking at an object copies its page of the parent's memory.
    gc.freeze()
