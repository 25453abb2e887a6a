"""The peer's Celery app, as Celery's own first steps write it."""

import os
import time

from celery import Celery

app = Celery("plain", broker=os.environ["CELERY_BROKER_URL"])


@app.task(ignore_result=True)
def note(message: dict[str, object]) -> None:
    """Write how long the message took to get here."""
    latency_ms = (time.time() - float(str(message["sent"]))) * 1000
    with open(os.environ["BENCH_FILE"], "a", encoding="ascii") as file:  # noqa: PTH123 - the same in both tasks
        file.write(f"{latency_ms:.3f}\n")
