"""The task of the measurement."""

import os
import time

from bench.own.routes import Sent
from ferry_worker.celery import app


@app.task(name="note")
def note(message: Sent) -> None:
    """Write how long the message took to get here."""
    latency_ms = (time.time() - message.sent) * 1000
    with open(os.environ["BENCH_FILE"], "a", encoding="ascii") as file:  # noqa: PTH123 - the same in both tasks
        file.write(f"{latency_ms:.3f}\n")
