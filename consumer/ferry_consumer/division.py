"""A batch that failed as a whole, or whose message has vanished: its messages go on one by one.

Between a batch's first and last record there is none that isn't in it, so Kafka tells which they are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ferry_shared.decode import check
from ferry_shared.errors import InvalidRecord, KafkaUnavailable
from ferry_shared.ledger.keys import Token, member_span, message_count
from ferry_shared.ledger.singles import Divided, FailedSingle, QueuedSingle, divide
from ferry_shared.task_message import Copy, body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition, Tenure
    from ferry_consumer.record_reader import RecordReader
    from ferry_consumer.server_clock import ServerClock
    from ferry_shared.ledger.redelivery import Stranded
    from ferry_shared.ledger.singles import Single
    from ferry_shared.record import Record
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")


class Division:
    """Reads the records of a batch again, and makes an entry of each."""

    def __init__(
        self,
        settings: ConsumerSettings,
        client: redis.Redis,
        reader: RecordReader,
        metrics: Metrics,
        server_clock: ServerClock,
    ) -> None:
        self._age_ms = int(settings.consumer_redeliver_after_seconds * 1000)
        self._max_record_bytes = settings.consumer_max_record_bytes
        self._client = client
        self._reader = reader
        self._metrics = metrics
        self._server_clock = server_clock

    def divide(
        self, partition: Partition, tenure: Tenure, entry: Stranded, seconds: float, error: str | None = None
    ) -> bool:
        """Divide a batch; its messages are queued, or with an `error` fail. False when `seconds` did not suffice.

        Raises:
            RedisUnavailable: whether it happened is unknown; asked again, it is gone.
        """
        records = self._records(partition, entry.member, seconds)
        if records is None:
            return False
        token = str(Token.parse(entry.token).next_attempt)
        singles = [self._single(partition, tenure, record, token, error) for record in records]
        divided = divide(
            self._client, partition.place.keys, tenure.transport, tenure.ownership, entry,
            age_ms=self._age_ms, singles=singles,
        )  # fmt: skip
        if divided is Divided.DIVIDED:
            self._tell(partition, tenure, entry.member, singles, error)
        return True

    def _records(self, partition: Partition, member: str, seconds: float) -> list[Record] | None:
        """What Kafka still has of a batch; None when it did not answer in time."""
        first, last = member_span(member)
        if seconds <= 0:
            return None
        try:
            found = self._reader.read(partition.topic_partition, range(first, last + 1), seconds)
        except KafkaUnavailable as error:
            # One partition without a leader must not hold up the others.
            log.debug("%s: %s", partition.topic_partition, error)
            return None
        if len(found) < last + 1 - first:
            return None
        return [record for _, record in sorted(found.items()) if record]

    def _single(self, partition: Partition, tenure: Tenure, record: Record, token: str, error: str | None) -> Single:
        try:
            value = check(record.value, partition.place.adapter, self._max_record_bytes)
        except InvalidRecord as refusal:
            # The route's model has changed since.
            error = error or str(refusal)
            value = b""
        if error:
            partition.remember_invalid(record)
            return FailedSingle(record.offset, error, b"")
        copy = Copy(str(record.offset), token, 1, record.timestamp_ms, self._server_clock.now_ms())
        return QueuedSingle(record.offset, tenure.template.fill(copy, body_of(value)))

    def _tell(
        self, partition: Partition, tenure: Tenure, member: str, singles: Sequence[Single], error: str | None
    ) -> None:
        topic, task = partition.topic_partition.topic, {"task_id": tenure.template.task_id(member)}
        if error:
            log.error("a batch of %d has failed: each becomes a dead letter: %s", len(singles), error, extra=task)
        else:
            self._metrics.redelivered.labels(topic).inc(len(singles))
            log.warning(
                "its message had vanished from the queue: its %d messages are queued one by one",
                len(singles),
                extra=task,
            )
        if gone := message_count(member) - len(singles):
            self._metrics.lost_to_retention.labels(topic).inc(gone)
            log.error("Kafka has deleted %d of its records; they can't be queued again", gone, extra=task)
