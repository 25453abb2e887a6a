"""Which partitions take records in: one decision from all that can pause them, and one place that acts on it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ferry_shared.ledger.pauses import PauseCause

if TYPE_CHECKING:
    from collections.abc import Collection

    from ferry_consumer.intake import Intake
    from ferry_consumer.memory_limit import MemoryLimit
    from ferry_consumer.partition import Partition
    from ferry_consumer.standing_pauses import StandingPauses
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

#: A partition that paused at a limit goes on below this share of it, so that it doesn't flap.
RESUME_SHARE = 0.8


class Pausing:
    """Holds partitions and lets them go on."""

    def __init__(
        self, settings: ConsumerSettings, intake: Intake, pauses: StandingPauses, memory_limit: MemoryLimit
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._pauses = pauses
        self._memory_limit = memory_limit

    def hold(self, partitions: Collection[Partition]) -> None:
        """Take nothing in until the next `apply`: a server is away, or recovery comes first."""
        self._intake.pause([partition.topic_partition for partition in partitions])
        for partition in partitions:
            partition.fetching = False

    def apply(self, partitions: Collection[Partition]) -> None:
        """Hold what something pauses, fetch everything else.

        Raises:
            KafkaUnavailable: a partition could not go on; the next call tries again.
        """
        interrupted = self._intake.take_interrupted()
        for partition in partitions:
            if partition.tenure is None:
                continue
            partition.fetching &= partition.topic_partition not in interrupted
            self._judge_fullness(partition)
            partition.paused = self._cause(partition)
            if partition.paused and partition.fetching:
                self.hold([partition])
            elif not partition.paused and not partition.fetching:
                self._intake.go_on(partition)
                partition.fetching = True

    def _cause(self, partition: Partition) -> PauseCause | None:
        if standing := self._pauses.of(partition.place.keys):
            return standing.cause
        if self._memory_limit.is_reached:
            return PauseCause.MEMORY
        return PauseCause.LIMIT if partition.is_full else None

    def _judge_fullness(self, partition: Partition) -> None:
        fullness = max(
            partition.in_flight / self._settings.consumer_max_in_flight_per_partition,
            partition.span / self._settings.consumer_max_span_per_partition,
        )
        if not partition.is_full and fullness >= 1:
            partition.is_full = True
            log.info("%s: %d in flight, pausing", partition.topic_partition, partition.in_flight)
        elif partition.is_full and fullness < RESUME_SHARE:
            partition.is_full = False
            log.info("%s: %d in flight, going on", partition.topic_partition, partition.in_flight)
