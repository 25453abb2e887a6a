"""How long to wait for more records to go out with the first one, while workers are behind.

A batch costs a worker little more than a single message, and what goes out alone then only waits in the queue instead.
"""

from __future__ import annotations

import time

#: For each entry that was dispatched before and is not done: the longer the queue, the fewer and larger the batches, so
#: it comes to rest where workers keep up.
SECONDS_AN_ENTRY = 0.005
MAX_SECONDS = 0.025
#: What was known of the workers is no longer true.
KNOWN_FOR_SECONDS = 0.1


class Linger:
    """Knows what the last dispatch has found."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._until = 0.0

    def note(self, waiting_entries: int) -> None:
        """So many entries of before are not done."""
        self._seconds = min(waiting_entries * SECONDS_AN_ENTRY, MAX_SECONDS)
        self._until = time.monotonic() + KNOWN_FOR_SECONDS

    @property
    def seconds(self) -> float:
        """How long to wait now."""
        return self._seconds if time.monotonic() < self._until else 0.0
