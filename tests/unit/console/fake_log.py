"""A topic's log in memory, in place of `TopicLog`: what is read of it is counted."""

import time
from collections.abc import Callable

from ferry_console.topic_log import Stretches
from ferry_shared.record import Record


class FakeLog:
    """Topics as lists of records a partition, by their offsets; after `limit` records the time is over."""

    def __init__(self, topics: dict[str, dict[int, list[Record]]], limit: int = 10**9) -> None:
        self._topics = topics
        self._limit = limit
        self.stretches: list[Stretches] = []

    def whole(self, topic: str) -> Stretches:
        """From the first record of each partition to behind the last."""
        return {
            number: (records[0].offset, records[-1].next_offset) if records else (0, 0)
            for number, records in self._topics.get(topic, {}).items()
        }

    def first_since(self, topic: str, whole: Stretches, moment_ms: int) -> dict[int, int]:
        """The first offset that is young enough, as Kafka tells."""
        return {
            number: next(
                (
                    record.offset
                    for record in self._topics[topic][number]
                    if record.timestamp_ms is not None and record.timestamp_ms >= moment_ms
                ),
                end,
            )
            for number, (_, end) in whole.items()
        }

    def read(self, topic: str, stretches: Stretches, deadline: float, look: Callable[[Record], None]) -> bool:
        """Show the records of the stretches."""
        assert deadline > time.monotonic() - 60
        self.stretches.append(stretches)
        for number, (start, end) in stretches.items():
            for record in self._topics[topic][number]:
                if start <= record.offset < end:
                    if not self._limit:
                        return False
                    self._limit -= 1
                    look(record)
        return True
