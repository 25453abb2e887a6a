"""The route of the measurements."""

import os

from pydantic import BaseModel

from ferry_shared.routes import Route


class Work(BaseModel):
    """A message of three fields; `sent` is in seconds since 1970."""

    number: int
    sent: float
    text: str


routes = [Route(topic=os.environ["BENCH_TOPIC"], message=Work, task=os.environ["BENCH_TASK"])]
