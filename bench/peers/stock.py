"""The peers' Celery app, as Celery's first steps write it."""

import os
import time

from celery import Celery
from celery.utils.log import get_task_logger

from bench import tally

app = Celery("stock", broker=os.environ["CELERY_BROKER_URL"])
# For many short tasks, as Celery's guide to optimizing has it ("Prefetch Limits": 64, or 128).
app.conf.worker_prefetch_multiplier = 64
log = get_task_logger(__name__)


@app.task(ignore_result=True)
def nothing(_message: dict[str, object]) -> None:
    """Do nothing, and be counted."""
    tally.add(1)


@app.task(ignore_result=True)
def print_something(message: dict[str, object]) -> None:
    """Print the message, and how long ago it was sent."""
    log.info("%s (%.0f ms)", message["text"], (time.time() - float(str(message["sent"]))) * 1000)


@app.task(ignore_result=True)
def note(message: dict[str, object]) -> None:
    """Write how long the message took to get here, in milliseconds."""
    latency_ms = (time.time() - float(str(message["sent"]))) * 1000
    with open(os.environ["BENCH_FILE"], "a", encoding="ascii") as file:  # noqa: PTH123 - the same in both tasks
        file.write(f"{latency_ms:.3f}\n")
