"""Entries at which the consumer must act: dead letters to write, retries that are due, leases that have ended."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ferry_consumer.dead_letters import DeadLetter, DeadLetters
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.keys import Token, message_count
from ferry_shared.ledger.redelivery import Stranded
from ferry_shared.ledger.skipping import skip
from ferry_shared.record import Record
from ferry_shared.stored_retry import DAMAGED, StoredRetry, kept_of
from ferry_shared.task_message import Copy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from ferry_consumer.division import Division
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition, Tenure
    from ferry_consumer.record_reader import RecordReader
    from ferry_consumer.server_clock import ServerClock
    from ferry_shared.ledger.consumer_ledger import Due, Snapshot
    from ferry_shared.record import TopicPartition

log = logging.getLogger("ferry.consumer")

#: A dead letter that Kafka refused is written again after this.
REFUSED_AGAIN_AFTER_MS = 30_000


class Attention:
    """Acts on what a snapshot says is due; whatever does not get done now is due again at the next one."""

    def __init__(
        self,
        client: redis.Redis,
        reader: RecordReader,
        dead_letters: DeadLetters,
        metrics: Metrics,
        server_clock: ServerClock,
        division: Division,
    ) -> None:
        self._division = division
        self._client = client
        self._reader = reader
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._server_clock = server_clock
        self._acknowledged: list[DeadLetter] = []

    def settle(self, partitions: Mapping[TopicPartition, Partition]) -> None:
        """Remove the entries whose dead letters Kafka has acknowledged, and let those that it refused wait.

        Raises:
            RedisUnavailable: the rest is removed the next time; forgotten, it would be written twice.
        """
        self._acknowledged += self._dead_letters.take_acknowledged()
        for letter in list(self._acknowledged):
            partition = partitions.get(letter.place)
            if partition and partition.tenure is None:
                continue
            if partition and partition.tenure:
                self._clear(partition, partition.tenure, letter)
            self._acknowledged.remove(letter)
        for letter in self._dead_letters.take_refused():
            partition = partitions.get(letter.place)
            if partition and partition.tenure:
                owner = partition.tenure.ownership
                consumer_ledger.postpone(
                    self._client, partition.place.keys, owner, letter.member, REFUSED_AGAIN_AFTER_MS
                )

    def _clear(self, partition: Partition, tenure: Tenure, letter: DeadLetter) -> None:
        if consumer_ledger.clear(self._client, partition.place.keys, tenure.ownership, letter.member, letter.token):
            self._metrics.dead_letters.labels(letter.place.topic).inc()
        partition.invalid.pop(letter.record.offset, None)

    def write_dead_letters(self, partition: Partition, snapshot: Snapshot, deadline: float) -> None:
        """Write a dead letter for each entry with an error; what isn't written now is due again.

        Records that memory no longer has are read again until `deadline` (of time.monotonic).
        """
        tenure = partition.tenure
        failed = [due for due in snapshot.due if due.error is not None and message_count(due.member) == 1]
        if tenure is None or not failed:
            return
        place = partition.topic_partition
        waiting = [due for due in failed if not self._dead_letters.is_under_way((place, due.member, due.token))]
        records = self._records(partition, [int(due.member) for due in waiting], deadline)
        for due in waiting:
            if int(due.member) not in records:
                continue
            record = records[int(due.member)]
            letter = DeadLetter(
                place, due.member, due.token, tenure.template.task_id(due.member), due.error or "", due.claims,
                record or self._reconstructed(partition, due), reconstructed=record is None,
            )  # fmt: skip
            if not self._dead_letters.write(letter):
                return

    def divide_failed(self, partition: Partition, snapshot: Snapshot, deadline: float) -> None:
        """Let each message of a batch that has failed as a whole fail by itself. What isn't read until `deadline` (of
        time.monotonic) is due again.

        Raises:
            RedisUnavailable: the rest is due again; a full Redis has no room for it, so dead letters go before.
        """
        for batch in [due for due in snapshot.due if due.error is not None and message_count(due.member) > 1]:
            if partition.tenure:
                found = Stranded(batch.member, batch.token, batch.copy, b"")
                self._division.divide(partition, partition.tenure, found, deadline - time.monotonic(), batch.error)

    def _records(self, partition: Partition, offsets: Sequence[int], deadline: float) -> dict[int, Record | None]:
        known: dict[int, Record | None] = {
            offset: partition.invalid[offset] for offset in offsets if offset in partition.invalid
        }
        unknown = [offset for offset in offsets if offset not in known]
        seconds = deadline - time.monotonic()
        if unknown and seconds > 0:
            try:
                known |= self._reader.read(partition.topic_partition, unknown, seconds)
            except KafkaUnavailable as error:
                # One partition without a leader must not hold up the others.
                log.debug("%s: %s", partition.topic_partition, error)
        return known

    def _reconstructed(self, partition: Partition, due: Due) -> Record:
        """Kafka no longer has the record: what the worker stored is all there is."""
        stored = consumer_ledger.stored_payload(self._client, partition.place.keys, due.member)
        # A damaged state has lost its attempts: there only the look of what is stored tells.
        retried = (
            Token.parse(due.token).attempt > 1
            or partition.place.route.countdown_field is not None
            or (due.error or "").startswith("damaged-state:")
        )
        value, timestamp_ms = kept_of(stored, retried=retried)
        if value is None:
            self._metrics.lost_to_retention.labels(partition.topic_partition.topic).inc()
            log.error(
                "Kafka has deleted the failed task's record, and no payload was stored: its dead letter has no value",
                extra={"task_id": f"{partition.topic_partition}-{due.member}"},
            )
        return Record(*partition.topic_partition, int(due.member), timestamp_ms, None, value, ())

    def enqueue_retries(self, partition: Partition, snapshot: Snapshot) -> None:
        """Queue the retries that are due, and the delayed messages.

        Raises:
            RedisUnavailable: the rest is due again.
        """
        for due in snapshot.due:
            if partition.tenure and due.error is None and due.retry_due:
                self._enqueue_retry(partition, partition.tenure, due)

    def _enqueue_retry(self, partition: Partition, tenure: Tenure, due: Due) -> None:
        stored = StoredRetry.parse(due.payload)
        if stored is None:
            log.error(
                "its next attempt can't be read: it becomes a dead letter",
                extra={"task_id": tenure.template.task_id(due.member)},
            )
            skip(self._client, partition.place.keys, due.member, DAMAGED)
            return
        copy = Copy(
            due.member,
            due.token,
            due.copy + 1,
            stored.timestamp_ms,
            self._server_clock.now_ms(),
            stored.retries,
        )
        message = tenure.template.fill(copy, stored.body)
        place = partition.place
        if consumer_ledger.enqueue(self._client, place.keys, place.queue_key, tenure.ownership, due, message=message):
            is_first = Token.parse(due.token).attempt == 1
            counter = self._metrics.dispatched if is_first else self._metrics.retried
            counter.labels(place.topic_partition.topic).inc()
            told = "its time has come: queued" if is_first else "its retry is due: queued again"
            log.info(told, extra={"task_id": tenure.template.task_id(due.member)})
