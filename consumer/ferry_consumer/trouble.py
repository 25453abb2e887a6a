"""A server is away: wait longer each time, and say so once a while instead of at every try."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ferry_consumer.turns import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_shared.errors import TransientError

log = logging.getLogger("ferry.consumer")

REPEAT_AFTER_SECONDS = 30.0


class Trouble:
    """What stands between the consumer and its work, and when to try again."""

    def __init__(self, longest_wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff = Backoff(longest_wait_seconds, clock=clock)
        self._clock = clock
        self._told = -REPEAT_AFTER_SECONDS

    @property
    def waiting(self) -> bool:
        """Tell whether it is too early to try again."""
        return self._backoff.blocked

    @property
    def lasting(self) -> bool:
        """Tell whether the last try failed."""
        return self._backoff.since is not None

    def met(self, error: TransientError) -> None:
        """A try failed."""
        self._backoff.failed()
        if self._clock() - self._told >= REPEAT_AFTER_SECONDS:
            self._told = self._clock()
            log.warning("%s; nothing is lost, trying again until it answers", error)

    def over(self) -> bool:
        """A try went well; True when the one before had not."""
        lasted = self._backoff.worked()
        if lasted is None:
            return False
        self._told = -REPEAT_AFTER_SECONDS
        log.info("going on after %.1f s of trouble", lasted)
        return True
