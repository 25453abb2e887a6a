"""The route of the measurement."""

import os
from dataclasses import dataclass

from ferry_shared.routes import Route


@dataclass(frozen=True)
class Sent:
    """When it was sent, in seconds since 1970."""

    sent: float


routes = [Route(topic=os.environ["BENCH_TOPIC"], message=Sent, task="note")]
