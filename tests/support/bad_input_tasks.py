"""The tasks of the tests with bad input. What one got goes into a file of its own, a line a run."""

import json
import os
from typing import Any

from celery.utils.log import get_task_logger

from ferry_worker.celery import app
from tests.support.bad_input_routes import FAIL, OTHER_TASK, RECORD, TASK, Tempting

#: What Celery reads from a task message.
REQUEST = (
    "id",
    "root_id",
    "parent_id",
    "reply_to",
    "callbacks",
    "errbacks",
    "chain",
    "chord",
    "eta",
    "expires",
    "group",
)

#: Of the members that the model doesn't know.
LOGGED_CHARACTERS = 2_000

log = get_task_logger(__name__)


def tell(self: Any, **fields: object) -> None:
    """Append a line; one write in append mode is never torn apart by another process's."""
    request = {name: self.request.get(name) for name in REQUEST}
    line = json.dumps({"task": self.name, "request": request, "kwargs": self.request.kwargs} | fields)
    file = os.open(os.environ[RECORD], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, line.encode() + b"\n")
    finally:
        os.close(file)


@app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
def take(self: Any, message: Tempting) -> None:
    """Log the message as users do, then tell of it."""
    log.info("taken: %s %s", message.text, str(message.model_extra)[:LOGGED_CHARACTERS])
    if message.text.startswith(FAIL):
        raise ValueError(message.text)
    tell(self, text=message.text, extra=message.model_extra, sent_at=message.sent_at.isoformat())


@app.task(name=OTHER_TASK, bind=True)  # type: ignore[untyped-decorator]
def other(self: Any, *args: Any, **kwargs: Any) -> None:
    """No route leads here."""
    tell(self, args=repr(args), kwargs=repr(kwargs))
