"""What one run sends, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferry_producer.delivery import Undelivered
    from ferry_producer.input import Input
    from ferry_producer.lines import Line
    from ferry_producer.outgoing import Recipe, Record

    #: Hands over as many records as there is room for now, the first ones; returns how many.
    Offer = Callable[[Sequence[Record]], int]


class Told(Protocol):
    """Who keeps account of what became of lines."""

    def acknowledge(self, latencies: Sequence[float | None]) -> None:
        """So many were acknowledged; each after so many seconds, None where nobody knows."""

    def fail(self, line: Line, outcome: Undelivered) -> None:
        """A line was not acknowledged."""


class Destination(Protocol):
    """Where records go: Kafka, or nowhere in a dry run."""

    @property
    def pending(self) -> int:
        """Records without an outcome."""

    async def open(self, told: Told, headers: Sequence[tuple[str, bytes]]) -> Offer:
        """Be ready: return how records are handed over, all with these headers; of each is told what became of it."""

    async def room(self) -> None:
        """Wait until an offer of what there was no room for is worth repeating."""

    async def flush(self) -> None:
        """Wait for all outcomes."""

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Give up what is without an outcome then."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one run sends: `texts` and the lines of `source` once, or `texts` in turn (none: the default texts).

    `count` ends it after so many messages, None after the last one; with `in_turn` that is never.
    """

    recipe: Recipe
    texts: Sequence[Line] = ()
    source: Input | None = None
    in_turn: bool = False
    count: int | None = None
    interval_seconds: float = 0.0
    rate_per_second: float | None = None
    stop_at_invalid: bool = False

    @property
    def again(self) -> bool:
        """What isn't sent can be had again: a file's lines, not a pipe's."""
        return self.in_turn or (self.source is not None and self.source.again)

    @property
    def endless(self) -> bool:
        """It ends by a signal, and outlives any outage."""
        return self.in_turn and self.count is None
