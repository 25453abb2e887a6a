"""A batch that failed as a whole, or whose message has vanished: its messages go on one by one.

Between a batch's first and last record there is none that isn't in it, so Kafka tells which they are.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from ferry_shared.decode import check
from ferry_shared.errors import InvalidRecord, KafkaUnavailable
from ferry_shared.ledger.keys import Token, member_span, message_count
from ferry_shared.ledger.singles import Divided, FailedSingle, QueuedSingle, divide

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition, Tenure
    from ferry_consumer.record_reader import RecordReader
    from ferry_consumer.server_clock import ServerClock
    from ferry_shared.ledger.redelivery import Stranded
    from ferry_shared.ledger.singles import DividedBatch, Single
    from ferry_shared.record import Record
    from ferry_shared.settings import ConsumerSettings
    from ferry_shared.task_message import FirstCopies

log = logging.getLogger("ferry.consumer")

GONE = "record-gone: its message vanished from the queue, and Kafka no longer has the record"


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
        divided = divide(
            self._client, partition.place.keys, tenure.transport, tenure.ownership, entry,
            age_ms=self._age_ms, failed=error is not None,
            singles=self._singles(partition, tenure, entry, records, error),
        )  # fmt: skip
        if divided.outcome is Divided.DIVIDED:
            topic, task_id = partition.topic_partition.topic, tenure.template.task_id(entry.member)
            self._tell(topic, task_id, divided, error)
            self._tell_of_lost(topic, task_id, _lost(entry.member, records, divided))
        return True

    def _singles(
        self,
        partition: Partition,
        tenure: Tenure,
        entry: Stranded,
        records: Mapping[int, Record | None],
        error: str | None,
    ) -> list[Single]:
        """Its messages. One that Kafka no longer has is one of them only where there can't have been a gap instead."""
        token = str(Token.parse(entry.token).next_attempt)
        copies = tenure.template.first_copies(token, self._server_clock.now_ms())
        return [
            self._single(partition, copies, record, error) if record else FailedSingle(offset, error or GONE, b"")
            for offset, record in sorted(records.items())
            if record or _has_no_gaps(entry.member)
        ]

    def _records(self, partition: Partition, member: str, seconds: float) -> Mapping[int, Record | None] | None:
        """What Kafka has at each offset of a batch; None when it did not answer in time."""
        first, last = member_span(member)
        if seconds <= 0:
            return None
        try:
            found = self._reader.read(partition.topic_partition, range(first, last + 1), seconds)
        except KafkaUnavailable as error:
            # One partition without a leader must not hold up the others.
            log.debug("%s: %s", partition.topic_partition, error)
            return None
        return found if len(found) == last + 1 - first else None

    def _single(self, partition: Partition, copies: FirstCopies, record: Record, error: str | None) -> Single:
        try:
            value = check(record.value, partition.place.adapter, self._max_record_bytes)
        except InvalidRecord as refusal:
            # The route's model has changed since.
            error, value = error or str(refusal), b""
        if error is not None:
            partition.remember_invalid(record)
            return FailedSingle(record.offset, error, b"")
        return QueuedSingle(record.offset, copies.single(str(record.offset), record.timestamp_ms, value))

    def _tell(self, topic: str, task_id: str, divided: DividedBatch, error: str | None) -> None:
        task = {"task_id": task_id}
        if error is not None:
            log.error(
                "a batch has failed: %d of its messages become dead letters: %s", divided.failed, error, extra=task
            )
            return
        self._metrics.redelivered.labels(topic).inc(divided.queued)
        log.warning(
            "its message had vanished from the queue: %d of its messages are queued one by one, %d become dead letters",
            divided.queued, divided.failed, extra=task,
        )  # fmt: skip

    def _tell_of_lost(self, topic: str, task_id: str, lost: int) -> None:
        """Those that can't have a dead letter: which offsets were theirs is not known."""
        if lost:
            self._metrics.lost_to_retention.labels(topic).inc(lost)
            log.error(
                "Kafka has deleted up to %d of its records that were not done, nobody can tell which",
                lost,
                extra={"task_id": task_id},
            )


def _has_no_gaps(member: str) -> bool:
    """Whether each offset from its first to its last one is a message of the batch."""
    first, last = member_span(member)
    return message_count(member) == last + 1 - first


def _lost(member: str, records: Mapping[int, Record | None], divided: DividedBatch) -> int:
    """How many messages that have no entry of their own, and that nobody has done, Kafka no longer has: at most.

    What a truncation of the log has taken from its end is not among them, nor what stands there now.
    """
    if _has_no_gaps(member):
        return 0
    done_up_to = -1 if divided.done_up_to is None else divided.done_up_to
    end = math.inf if divided.below is None else divided.below
    left = {offset: record for offset, record in records.items() if offset < end}
    missing = sum(record is None and offset > done_up_to for offset, record in left.items())
    # A log may have been truncated, and have grown again, before anybody noticed: then there are more than there were.
    # Its last offset is one of its messages, so with a truncation at least that one is not below.
    messages = message_count(member) - (divided.below is not None)
    return max(0, min(missing, messages - sum(record is not None for record in left.values())))
