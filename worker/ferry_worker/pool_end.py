"""A worker that is asked to end ends within seconds.

At a warm shutdown each pool process of billiard 4.3 waits up to 30 s until the parent has counted all of its results.
The parent reads no more of them once it knows of no running task, and it forgets those of whose start it has not yet
read: on a busy worker the last one nearly always. Nobody gains by that wait: an outcome is recorded by the process
itself, before its result, and a message that is not acknowledged comes back and is found to be done.
"""

from __future__ import annotations

from typing import Any

import billiard.pool
from celery import signals

#: Times billiard's interval of 0.1 s.
RESULT_CHECKS = 20


@signals.worker_init.connect(weak=False)
def shorten_pool_end(**_: Any) -> None:
    """Set billiard's limit before the pool's processes are started, which inherit it."""
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = RESULT_CHECKS
