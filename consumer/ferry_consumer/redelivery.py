"""Queue a task again whose message has vanished: looked for twice, 5 s apart, and never by age alone.

A long queue ages every message in it; only one that neither waits nor is held by a worker, and whose entry has no
live claim, is replaced. kombu's own worker has such a gap between BRPOP and `unacked`.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ferry_consumer.division import GONE
from ferry_consumer.suspects import Suspects
from ferry_consumer.turns import Every
from ferry_shared.decode import check
from ferry_shared.errors import FerryError, InvalidRecord, KafkaUnavailable
from ferry_shared.ledger.keys import message_count
from ferry_shared.ledger.redelivery import Redelivered, redeliver, stranded
from ferry_shared.stored_retry import DAMAGED, StoredRetry
from ferry_shared.task_message import Copy, body_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import redis

    from ferry_consumer.division import Division
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition, Tenure
    from ferry_consumer.record_reader import RecordReader
    from ferry_consumer.server_clock import ServerClock
    from ferry_shared.ledger.redelivery import Look, Stranded
    from ferry_shared.record import Record, TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

LOOK_EVERY_SECONDS = 1.0
#: kombu's worker needs a moment between taking a message and recording that it did.
SECOND_LOOK_AFTER_SECONDS = 5.0
#: Stranded entries of a partition that are followed at once: their records are read again from Kafka.
LIMIT = 100
#: For all partitions together.
READ_SECONDS_A_LOOK = 1.0

VANISHED = "never-acknowledged: each time it was queued, its message vanished before a worker claimed it"


class _NoNextCopy(FerryError):
    """Why the entry ends, as its dead letter says it."""


class Redelivery:
    """Goes through each ledger piece by piece, and remembers what was missing at the first look."""

    def __init__(
        self,
        settings: ConsumerSettings,
        client: redis.Redis,
        reader: RecordReader,
        metrics: Metrics,
        server_clock: ServerClock,
        division: Division,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._age_ms = int(settings.consumer_redeliver_after_seconds * 1000)
        self._max_record_bytes = settings.consumer_max_record_bytes
        self._max_deliveries = settings.consumer_max_deliveries
        self._division = division
        self._client = client
        self._reader = reader
        self._metrics = metrics
        self._server_clock = server_clock
        self._clock = clock
        self._turn = Every(LOOK_EVERY_SECONDS, clock)
        self._suspects: dict[TopicPartition, Suspects] = {}

    def look(self, partitions: Iterable[Partition]) -> None:
        """Look for what is missing, and replace what was missing 5 s ago and still is.

        Raises:
            RedisUnavailable: the rest is found again.
        """
        if not self._turn.is_due():
            return
        deadline = self._clock() + READ_SECONDS_A_LOOK
        looked_at = [(each, each.tenure) for each in partitions if each.tenure and self._can_have_stranded(each)]
        known = self._suspects
        self._suspects = {each.topic_partition: known.get(each.topic_partition, Suspects()) for each, _ in looked_at}
        for partition, tenure in looked_at:
            suspects = self._suspects[partition.topic_partition]
            if not suspects.are_too_many:
                suspects.note(self._first_look(partition, tenure, suspects.next), self._clock())
            self._second_look(partition, tenure, suspects, deadline)

    def _first_look(self, partition: Partition, tenure: Tenure, first: int) -> Look:
        return stranded(
            self._client, partition.place.keys, tenure.transport, tenure.ownership,
            age_ms=self._age_ms, limit=LIMIT, first=first,
        )  # fmt: skip

    def _can_have_stranded(self, partition: Partition) -> bool:
        return 0 < partition.oldest_ms <= self._server_clock.now_ms() - self._age_ms

    def _second_look(self, partition: Partition, tenure: Tenure, suspects: Suspects, deadline: float) -> None:
        ripe = suspects.ripe(self._clock() - SECOND_LOOK_AFTER_SECONDS, LIMIT)
        for batch in [entry for entry in ripe if message_count(entry.member) > 1]:
            if self._division.divide(partition, tenure, batch, deadline - self._clock()):
                suspects.settle(batch)
            ripe.remove(batch)
        unknown = [int(entry.member) for entry in ripe if not entry.payload]
        records: dict[int, Record | None] = {}
        seconds = deadline - self._clock()
        if unknown and seconds > 0:
            try:
                records = self._reader.read(partition.topic_partition, unknown, seconds)
            except KafkaUnavailable as error:
                # One partition without a leader must not hold up the others.
                log.debug("%s: %s", partition.topic_partition, error)
        for entry in ripe:
            if entry.payload or int(entry.member) in records:
                self._redeliver(partition, tenure, entry, records.get(int(entry.member)))
                suspects.settle(entry)

    def _message(self, partition: Partition, tenure: Tenure, entry: Stranded, record: Record | None) -> bytes:
        """The next copy's message: from what `retry` stored, else from Kafka.

        Raises:
            _NoNextCopy: neither can be read any more.
            InvalidRecord: the route's model has changed, and refuses the record.
        """
        if entry.payload:
            stored = StoredRetry.parse(entry.payload)
            if stored is None:
                raise _NoNextCopy(DAMAGED)
            body, timestamp_ms, retries = stored.body, stored.timestamp_ms, stored.retries
        elif record is None:
            raise _NoNextCopy(GONE)
        else:
            value = check(record.value, partition.place.adapter, self._max_record_bytes)
            body, timestamp_ms, retries = body_of(value), record.timestamp_ms, 0
        now_ms = self._server_clock.now_ms()
        return tenure.template.fill(
            Copy(entry.member, entry.token, entry.copy + 1, timestamp_ms, now_ms, retries), body
        )

    def _redeliver(self, partition: Partition, tenure: Tenure, entry: Stranded, record: Record | None) -> None:
        try:
            message, most, error = self._message(partition, tenure, entry, record), self._max_deliveries, VANISHED
        except (InvalidRecord, _NoNextCopy) as end:
            message, most, error = b"", 0, str(end)
        outcome = redeliver(
            self._client,
            partition.place.keys,
            tenure.transport,
            tenure.ownership,
            entry,
            message=message,
            age_ms=self._age_ms,
            max_deliveries=most,
            error=error,
        )
        task = {"task_id": tenure.template.task_id(entry.member)}
        if outcome is Redelivered.ENQUEUED:
            self._metrics.redelivered.labels(partition.topic_partition.topic).inc()
            log.warning("its message had vanished from the queue: queued again", extra=task)
        elif outcome is Redelivered.EXHAUSTED:
            log.error("its message had vanished, and it becomes a dead letter: %s", error, extra=task)
