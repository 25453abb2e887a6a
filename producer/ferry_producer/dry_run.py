"""`--dry-run`: everything is read and checked, nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_producer.delivery import Delivered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_producer.delivery import Settle


class Nowhere:
    """A destination that takes every record at once, and reaches no Kafka."""

    pending = 0
    _TAKEN = Delivered("", -1, None)

    async def open(self) -> None:
        """Nothing to reach."""

    async def enqueue(
        self, message: bytes, settle: Settle, *, key: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """It was valid."""
        settle(self._TAKEN)

    async def flush(self) -> None:
        """Nothing waits."""

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Nothing to let go of."""
