"""When periodic work is due, and how long to wait while a server is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: While a server is away the loop keeps turning at this pace, so that it stays in its group.
BLOCKED_POLL_SECONDS = 0.1
#: A poll sees neither a rebalance that it has just run nor a signal before it returns.
LONGEST_POLL_SECONDS = 0.25


def poll_seconds(until_next_turn: float, *, blocked: bool, replies: bool) -> float:
    """How long a poll may wait: while a server is away, while there are replies to read, and otherwise."""
    if blocked:
        return BLOCKED_POLL_SECONDS
    return 0.0 if replies else min(until_next_turn, LONGEST_POLL_SECONDS)


class Every:
    """Due once per interval; the first time at once."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._next = clock()

    def is_due(self) -> bool:
        """Tell whether the interval has passed, and start the next one if so."""
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def again(self) -> None:
        """Make it due at once: the work could not be done."""
        self._next = self._clock()

    @property
    def seconds_left(self) -> float:
        """Until it is due again."""
        return max(0.0, self._next - self._clock())


class Backoff:
    """Doubles the wait from `first` to `longest` while trouble lasts. `blocked` until the wait is over."""

    def __init__(
        self, longest_seconds: float, first_seconds: float = 0.1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._clock = clock
        self._wait = 0.0
        self._until = 0.0
        self.since: float | None = None

    def failed(self) -> None:
        """Something failed: wait, longer each time."""
        self.since = self._clock() if self.since is None else self.since
        self._wait = min(self._longest, self._wait * 2 or self._first)
        self._until = self._clock() + self._wait

    def worked(self) -> float | None:
        """Something worked: no more waiting. Returns for how many seconds it had not, None if all was well."""
        lasted = None if self.since is None else self._clock() - self.since
        self.since, self._wait, self._until = None, 0.0, 0.0
        return lasted

    @property
    def blocked(self) -> bool:
        """Tell whether to wait longer."""
        return self._clock() < self._until

    @property
    def seconds_left(self) -> float:
        """How much longer to wait."""
        return max(0.0, self._until - self._clock())
