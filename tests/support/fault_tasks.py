"""The task of the fault tests. What it did goes into a file of its own, line by line, so nothing else has to be asked.

The first word of a message's text says what its task does: `retry` asks once to run again, `fail` raises, any other
succeeds.
"""

import os
import time
from pathlib import Path
from typing import Any

from ferry_shared.message import Message
from ferry_worker.celery import app
from tests.support.fault_routes import HOLD, RECORD, SECONDS, TASK


def tell(event: str, task_id: str, text: str) -> None:
    """Append a line; one write in append mode is never torn apart by another process's."""
    file = os.open(os.environ[RECORD], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, f"{event} {task_id} {text}\n".encode())
    finally:
        os.close(file)


@app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
def run(self: Any, message: Message) -> None:
    """Tell of the start, take the time, tell of the end."""
    text = message.text
    tell("started", self.request.id, text)
    while Path(os.environ[HOLD]).exists():
        time.sleep(0.02)
    time.sleep(float(os.environ[SECONDS]))
    if text.startswith("retry") and self.request.retries == 0:
        tell("retrying", self.request.id, text)
        raise self.retry(countdown=0.5)
    if text.startswith("fail"):
        tell("failing", self.request.id, text)
        raise ValueError(f"told to fail: {text}")
    tell("done", self.request.id, text)
