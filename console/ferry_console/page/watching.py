"""Look at a group again and again: what Redis says, the points of the charts, and what is told when it is away."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from ferry_console.in_flight.document import document as in_flight_document
from ferry_console.page.broadcast import Look
from ferry_console.page.events import Event
from ferry_console.page.failures import failures_by_task
from ferry_console.page.progress import Counts, Sample, counts_of, sample_of
from ferry_console.page.snapshot import snapshot
from ferry_shared.errors import ConfigurationError, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferry_console.in_flight.flights import InFlight
    from ferry_console.status.group_status import GroupStatus

LOOK_SECONDS = 1.0
#: The list of the oldest costs Redis a page a partition.
OLDEST_SECONDS = 5.0
#: Ten minutes, at a look a second.
MOST_SAMPLES = 600


class GroupSource(Protocol):
    """Where a group's state comes from. Every method raises RedisUnavailable while Redis is away."""

    def status(self) -> GroupStatus:
        """How far each partition is."""
        ...

    def oldest(self) -> InFlight:
        """What is in flight longest."""
        ...

    def tasks(self) -> Mapping[str, str]:
        """The task of each topic, as far as the routes are known here."""
        ...


class GroupWatch:
    """Remembers from look to look what charts need."""

    def __init__(self, source: GroupSource, old_after_seconds: float) -> None:
        self._source = source
        self._old_after_seconds = old_after_seconds
        self._samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._before: Counts | None = None
        self._oldest: tuple[float, dict[str, Any]] | None = None

    def look(self) -> Look:
        """Ask once; while Redis is away that is the answer."""
        try:
            return Look(Event("look", self._document()), LOOK_SECONDS)
        except (RedisUnavailable, ConfigurationError) as error:
            return Look(Event("problem", {"problem": str(error)}), LOOK_SECONDS)

    def greeting(self) -> Event:
        """The points so far, for a browser that comes later."""
        return Event("history", {"samples": [asdict(sample) for sample in list(self._samples)]})

    def _document(self) -> dict[str, Any]:
        status = self._source.status()
        sample = sample_of(status, self._before)
        self._before = counts_of(status)
        self._samples.append(sample)
        failures = failures_by_task(status, self._source.tasks())
        return snapshot(status, sample, self._oldest_now(), failures, self._old_after_seconds)

    def _oldest_now(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._oldest is None or now - self._oldest[0] >= OLDEST_SECONDS:
            self._oldest = now, in_flight_document(self._source.oldest())
        return self._oldest[1]
