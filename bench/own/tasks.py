"""The tasks of the measurements."""

import os
import time

from bench import tally
from bench.own.routes import Work
from ferry_worker.celery import app


@app.task(name="nothing")
def nothing(_message: Work) -> None:
    """Do nothing, and be counted."""
    tally.add(1)


@app.task(name="note")
def note(message: Work) -> None:
    """Write how long the message took to get here, in milliseconds."""
    latency_ms = (time.time() - message.sent) * 1000
    with open(os.environ["BENCH_FILE"], "a", encoding="ascii") as file:  # noqa: PTH123 - the same in both tasks
        file.write(f"{latency_ms:.3f}\n")
