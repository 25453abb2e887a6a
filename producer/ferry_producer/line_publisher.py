"""Many lines into one topic of Kafka, of which one account is told."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ferry_producer.channel import Channel
from ferry_producer.lines import Line
from ferry_producer.recipients import LinesTold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_producer.job import Offer, Told


class LinePublisher(Channel[Line]):
    """The `Destination` that is Kafka."""

    async def open(self, told: Told, headers: Sequence[tuple[str, bytes]]) -> Offer:
        """Reach Kafka; raises like `Channel.reach`."""
        outbox = await self.reach(LinesTold(told, confirmed=self._settings.producer_acks != "0"))
        return partial(outbox.offer, list(headers))

    async def room(self) -> None:
        """Wait until delivery reports, which alone make room, were served."""
        if self._outbox is not None:
            await self._outbox.room()
