"""`--rate`: messages at even distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: What was missed is made up for, but no more than so much at once: an outage must not end in a burst.
MAX_BEHIND_SECONDS = 1.0


class Pace:
    """When the next message may go, by a clock in seconds."""

    def __init__(self, rate_per_second: float, clock: Callable[[], float]) -> None:
        self._step_seconds = 1 / rate_per_second
        self._clock = clock
        self._next = clock()

    def wait_seconds(self) -> float:
        """How long the next message has to wait, 0 if it is late."""
        now = self._clock()
        self._next = max(self._next, now - MAX_BEHIND_SECONDS)
        return max(self._next - now, 0.0)

    def due(self) -> int:
        """How many may go now, at least one: whoever asks has waited."""
        return 1 + max(int((self._clock() - self._next) / self._step_seconds), 0)

    def take(self, number: int) -> None:
        """So many have gone."""
        self._next += number * self._step_seconds
