"""The messages of the acting task, and their route: what a consumer knows of it, without Celery."""

import os
from typing import Literal

from pydantic import BaseModel

from ferry_shared.routes import Route

TASK = "tests.act"
#: What ends a task without success, however often it is tried: its message becomes a dead letter.
FATAL = frozenset({"raise", "wait_and_raise", "exit", "hang", "segfault", "hungry", "killed"})


class Act(BaseModel):
    """What a task is to do; `seconds` is how long it takes before."""

    number: int
    act: Literal[
        "return", "wait", "raise", "wait_and_raise", "exit", "hang", "segfault", "hungry", "killed", "grow"
    ] = "return"
    seconds: float = 0.0


routes = [Route(topic=os.environ.get("ACTING_TOPIC", "acts"), message=Act, task=TASK)]
