"""Find one message again and again: what can't change is asked once, what is costly seldom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ferry_console.trace.findings import Findings, Whereabouts, in_flight
from ferry_console.trace.kafka_side import KafkaSide
from ferry_console.trace.redis_side import look
from ferry_shared.errors import ConfigurationError, KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.entry_view import view

if TYPE_CHECKING:
    import redis

    from ferry_console.trace.findings import DeadLetters, KafkaView
    from ferry_shared.ledger.entry_view import EntryView, QueueSearch
    from ferry_shared.record import TaskId
    from ferry_shared.settings import ConsumerSettings

#: A server that didn't answer is asked again after this time: its silence costs seconds.
AFTER_SILENCE_SECONDS = 10.0
#: A search of the queue that took 10 ms is repeated after half a second at the earliest.
QUEUE_SEARCH_SHARE = 0.02


class MessageFinder:
    """Keeps connections to Kafka until `close`."""

    def __init__(self, client: redis.Redis, settings: ConsumerSettings, task_id: TaskId) -> None:
        self._client = client
        self._settings = settings
        self._task_id = task_id
        self._side: KafkaSide | None = None
        self._forget()

    def _forget(self) -> None:
        self._kafka: KafkaView | None = None
        self._queue: QueueSearch | None = None
        self._letters: DeadLetters | None = None
        self._ask_kafka_at = self._search_queue_at = 0.0

    def close(self) -> None:
        """Close the connections to Kafka."""
        if self._side is not None:
            self._side.close()
        self._side = None
        self._forget()

    def find(self) -> Findings:
        """Ask Kafka for the record, Redis for the ledger, and Kafka for dead letters of what has ended, in this order.

        What ends in between is then found in the ledger as ended.
        """
        missing: list[str] = []
        entry, queue = None, None
        self._read_record(missing)
        try:
            entry, queue = self._entry()
        except RedisUnavailable as error:
            missing.append(f"{error}: whether it was dispatched, and what became of it, is not known")
        if self._kafka is not None and self._was_sent(self._kafka) and _may_be_dead(self._task_id, entry):
            self._search_letters(missing, has_ended=entry is not None and entry.head is not None)
        letters = self._letters if entry is None or entry.state is None else None
        return Findings(self._task_id, entry, queue, self._kafka, letters, tuple(missing))

    def _read_record(self, missing: list[str]) -> None:
        """Until there is a record, or there can't be one any more."""
        if self._kafka is not None and (self._kafka.record is not None or self._is_deleted(self._kafka)):
            return
        if time.monotonic() < self._ask_kafka_at:
            missing.append("Kafka did not answer: the record and its dead letters are not known")
            return
        try:
            self._kafka = self._kafka_side().record(self._task_id)
        except (KafkaUnavailable, ConfigurationError) as error:
            self._ask_kafka_at = time.monotonic() + AFTER_SILENCE_SECONDS
            missing.append(f"{error}: neither the record nor its dead letters are known")

    def _is_deleted(self, kafka: KafkaView) -> bool:
        return kafka.log_start is not None and self._task_id.first < kafka.log_start

    def _was_sent(self, kafka: KafkaView) -> bool:
        return kafka.log_end is not None and self._task_id.first < kafka.log_end

    def _entry(self) -> tuple[EntryView, QueueSearch | None]:
        entry = view(self._client, self._settings.ferry_key_prefix, self._task_id)
        if entry.state is None or in_flight(entry.state, entry, None) is not Whereabouts.WAITING:
            return entry, None
        if (began := time.monotonic()) >= self._search_queue_at:
            entry, self._queue, _ = look(self._client, self._settings, self._task_id)
            took = time.monotonic() - began
            self._search_queue_at = time.monotonic() + took / QUEUE_SEARCH_SHARE
        return entry, self._queue

    def _search_letters(self, missing: list[str], *, has_ended: bool) -> None:
        """Once for what has ended; what Redis doesn't tell of may be dead, and is looked for once as well."""
        if (self._letters is not None and not has_ended) or time.monotonic() < self._ask_kafka_at:
            return
        sent_ms = self._kafka.record.timestamp_ms if self._kafka and self._kafka.record else None
        try:
            self._letters = self._kafka_side().dead_letters(self._task_id, sent_ms)
        except (KafkaUnavailable, ConfigurationError) as error:
            self._ask_kafka_at = time.monotonic() + AFTER_SILENCE_SECONDS
            missing.append(f"{error}: its dead letters are not known")

    def _kafka_side(self) -> KafkaSide:
        if self._side is None:
            self._side = KafkaSide(self._settings)
        return self._side


def _may_be_dead(task_id: TaskId, entry: EntryView | None) -> bool:
    """It has ended, or nobody tells whether it has; dead letters have the ids of single messages."""
    if task_id.is_batch:
        return False
    if entry is None or entry.head is None:
        return True
    return entry.state is None and task_id.first < entry.head.position
