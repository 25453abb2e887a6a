"""How long to wait for more records to go out with the first one, while workers are behind.

What goes out alone then only waits in the queue instead. A batch costs a worker little more than a single message, and
single messages that go out together cost the consumer and Redis less, which leaves more for a worker beside them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Batches: for each entry that was dispatched before and is not done: the longer the queue, the fewer and larger the
#: batches, so it comes to rest where workers keep up.
SECONDS_AN_ENTRY = 0.005
#: Single messages: of the time for which one would wait in the queue, as fast as it was worked off since the last ones.
SHARE_OF_WAIT = 0.5
MAX_SECONDS = 0.025
#: What was known of the workers is no longer true.
KNOWN_FOR_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _Queue:
    """How long a queue was after a dispatch that was sent `at` (s, of time.monotonic), and how long to wait since."""

    length: int
    at: float
    seconds: float


class Linger:
    """Knows what the last dispatches have found.

    Where batches go out, their rule holds for the records of all partitions: one call of Kafka's client takes them.
    """

    def __init__(self) -> None:
        self._batch_seconds = 0.0
        self._batch_until = 0.0
        self._queues: dict[str, _Queue] = {}

    def note_entries(self, waiting: int, at: float) -> None:
        """Batches that were sent `at` (s, of time.monotonic) found so many entries of before that are not done."""
        self._batch_seconds = min(waiting * SECONDS_AN_ENTRY, MAX_SECONDS)
        self._batch_until = at + KNOWN_FOR_SECONDS

    def note_queue(self, queue: str, before: int, after: int, at: float) -> None:
        """A dispatch that was sent `at` (s, of time.monotonic) found this queue so long, and left it so long."""
        last = self._queues.get(queue)
        seconds = 0.0
        if last and at < last.at + KNOWN_FOR_SECONDS:
            wait = before * (at - last.at) / max(last.length - before, 1)
            seconds = min(wait * SHARE_OF_WAIT, MAX_SECONDS)
            if seconds * (after - before) < at - last.at:
                # As few as come, none would come meanwhile.
                seconds = 0.0
        self._queues[queue] = _Queue(after, at, seconds)

    def seconds(self, queues: Iterable[str]) -> float:
        """How long to wait now for records of batches, or for these queues: if one of those is empty, not at all."""
        now = time.monotonic()
        if now < self._batch_until:
            return self._batch_seconds
        known = (self._queues.get(queue) for queue in queues)
        waits = (found.seconds if found and now < found.at + KNOWN_FOR_SECONDS else 0.0 for found in known)
        return min(waits, default=0.0)
