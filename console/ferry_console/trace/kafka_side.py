"""What Kafka says of one message: its record, and its dead letters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_console.topic_log import REQUEST_TIMEOUT_SECONDS, TopicLog
from ferry_console.trace.findings import DeadLetters, KafkaView
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from ferry_console.topic_log import Stretches
    from ferry_shared.record import Record, TaskId
    from ferry_shared.settings import ConsumerSettings

#: How long the dead-letter topic is searched, unless somebody has more patience.
SEARCH_SECONDS = 10.0
#: Clocks differ: a dead letter counts as possibly written this much before its record was sent.
CLOCK_MARGIN_MS = 60_000


class KafkaSide:
    """Two clients, for one message; `close` them."""

    def __init__(self, settings: ConsumerSettings) -> None:
        from ferry_consumer.record_reader import RecordReader  # noqa: PLC0415 - other services are imported when needed

        self._settings = settings
        self._log = TopicLog(settings, "ferry-trace")
        self._reader = RecordReader(settings)

    def close(self) -> None:
        """Close the clients."""
        self._reader.close()
        self._log.close()

    def record(self, task_id: TaskId) -> KafkaView:
        """Read a task's record, and how far its log reaches.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        place = TopicPartition(task_id.topic, task_id.partition)
        log = self._log.whole(task_id.topic).get(task_id.partition)
        if log is None:
            return KafkaView(None, None, None)
        found = self._reader.read(place, [task_id.first], REQUEST_TIMEOUT_SECONDS)
        if task_id.first not in found:
            raise KafkaUnavailable(f"Kafka: reading {place} took longer than {REQUEST_TIMEOUT_SECONDS:.0f} s")
        return KafkaView(*log, found[task_id.first])

    def dead_letters(self, task_id: TaskId, sent_ms: int | None, seconds: float = SEARCH_SECONDS) -> DeadLetters:
        """Search the dead-letter topic for a task's id, so long: what was written since the message was sent, then the
        rest.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        topic = task_id.topic + self._settings.consumer_dead_letter_suffix
        whole = {number: log for number, log in self._log.whole(topic).items() if log[1] > log[0]}
        likely = self._written_since(topic, whole, sent_ms)
        search, deadline = _Search(task_id.text.encode()), time.monotonic() + seconds
        complete = self._log.read(topic, likely, deadline, search.look_at)
        if not search.found:
            # The sender's clock may have been wrong.
            rest = {number: (whole[number][0], likely[number][0]) for number in whole}
            complete = self._log.read(topic, rest, deadline, search.look_at) and complete
        return DeadLetters(tuple(search.found), search.count, complete or bool(search.found))

    def _written_since(self, topic: str, whole: Stretches, sent_ms: int | None) -> Stretches:
        """The part of each log that was written after `sent_ms` (None: all of it)."""
        if sent_ms is None or sent_ms > time.time() * 1000:
            return whole
        starts = self._log.first_since(topic, whole, sent_ms - CLOCK_MARGIN_MS)
        return {number: (starts[number], end) for number, (_, end) in whole.items()}


@dataclass
class _Search:
    """Looks among records for those with one task id."""

    task_id: bytes
    found: list[Record] = field(default_factory=list)
    count: int = 0

    def look_at(self, record: Record) -> None:
        """Keep it if it is one of them."""
        from ferry_consumer.dead_letters import TASK_ID_HEADER  # noqa: PLC0415 - other services are imported when needed

        self.count += 1
        # The record's own headers come first, and a sender can write any: the last one is Ferry's.
        if dict(record.headers).get(TASK_ID_HEADER) == self.task_id:
            self.found.append(record)
