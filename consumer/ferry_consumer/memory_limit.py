"""Redis' memory: intake pauses before Redis is full, because a full one takes nothing at all."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ferry_consumer.turns import Every
from ferry_shared.ledger.client import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

log = logging.getLogger("ferry.consumer")

ASK_EVERY_SECONDS = 1.0
#: It goes on below this share of the limit, so that it doesn't flap.
RESUME_SHARE = 0.95


def is_nearly_full(used: int, maximum: int, ratio: float, *, was: bool) -> bool:
    """Judge `used` of `maximum` bytes (0: no maximum) by the limit `ratio`, and by how it was before."""
    return maximum > 0 and used >= maximum * ratio * (RESUME_SHARE if was else 1)


class MemoryLimit:
    """Asks Redis at most once a second."""

    def __init__(self, client: redis.Redis, ratio: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._ratio = ratio
        self._turn = Every(ASK_EVERY_SECONDS, clock)
        self.is_reached = False

    def look(self) -> None:
        """Ask, if it is time; told when it changes.

        Raises:
            RedisUnavailable: it did not answer; what was known holds.
        """
        if not self._turn.is_due():
            return
        with translated():
            info: Any = self._client.info("memory")
        used, maximum = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
        reached = is_nearly_full(used, maximum, self._ratio, was=self.is_reached)
        if reached and not self.is_reached:
            log.warning(
                "Redis uses %d %% of its maxmemory: intake pauses, and goes on below %d %%; tasks go on",
                used * 100 // maximum, self._ratio * RESUME_SHARE * 100,
            )  # fmt: skip
        elif self.is_reached and not reached:
            log.info("Redis uses %d %% of its maxmemory: intake goes on", used * 100 // maximum if maximum else 0)
        self.is_reached = reached
