"""`--dry-run`: everything is read and checked, nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_producer.job import Offer, Told
    from ferry_producer.outgoing import Record


class Nowhere:
    """A destination that takes every record at once, and reaches no Kafka."""

    pending = 0

    async def open(self, told: Told, headers: Sequence[tuple[str, bytes]]) -> Offer:
        """Nothing to reach."""

        def offer(records: Sequence[Record]) -> int:
            told.acknowledge([None] * len(records))
            return len(records)

        return offer

    async def room(self) -> None:
        """There is always room."""

    async def flush(self) -> None:
        """Nothing waits."""

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Nothing to let go of."""
