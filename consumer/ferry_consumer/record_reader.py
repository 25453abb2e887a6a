"""Read single records of Kafka again: for dead letters and redelivery, when memory no longer has them."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_consumer.client import created, reader_properties
from ferry_consumer.kafka_message import record_of
from ferry_shared.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_shared.record import Record, TopicPartition
    from ferry_shared.settings import KafkaSettings

#: A contiguous range is read in one go; two offsets further apart than this are sought one by one.
CONTIGUOUS_OFFSETS = 100
#: One call returns little more than this: what is missing from its answer is asked for again.
MAX_READ_BYTES = 16_777_216


class RecordReader:
    """A second client that never joins a group: it assigns a partition and reads what it is asked for."""

    def __init__(self, settings: KafkaSettings) -> None:
        ours = {
            "client.id": "ferry-record-reader",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 4096,
        }
        own = reader_properties("ferry-reader")
        self._properties: Mapping[str, object] = ours | settings.client_properties() | own
        self._consumer: confluent_kafka.Consumer | None = None

    def read(self, place: TopicPartition, offsets: Sequence[int], timeout_seconds: float) -> dict[int, Record | None]:
        """Return the records at `offsets`, None for one that is gone (retention, compaction).

        What the time or MAX_READ_BYTES did not suffice for is missing from the answer, to be asked for again.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        found: dict[int, Record | None] = {}
        deadline = time.monotonic() + timeout_seconds
        left = MAX_READ_BYTES
        try:
            start, end = self._open().get_watermark_offsets(_kafka(place), timeout=timeout_seconds)
            found |= {offset: None for offset in offsets if not start <= offset < end}
            for run in contiguous(sorted(set(offsets) - found.keys())):
                read = self._read_run(place, run, deadline, left)
                found |= read
                left -= _bytes_of(read)
                if time.monotonic() > deadline or left <= 0:
                    break
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: reading {place} again: {error.args[0].str()}") from error
        finally:
            if self._consumer is not None:
                self._consumer.unassign()
        return found

    def close(self) -> None:
        """Close the client."""
        if self._consumer is not None:
            self._consumer.close()

    def _open(self) -> confluent_kafka.Consumer:
        if self._consumer is None:
            self._consumer = created(confluent_kafka.Consumer, self._properties)
        return self._consumer

    def _read_run(
        self, place: TopicPartition, run: Sequence[int], deadline: float, max_bytes: int
    ) -> dict[int, Record | None]:
        consumer = self._open()
        consumer.assign([_kafka(place, run[0])])
        wanted, found = deque(run), dict[int, "Record | None"]()
        while wanted and max_bytes > 0 and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                continue
            reached, error = message.offset() or 0, message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            # An offset that Kafka has passed over is gone: only a record at exactly that offset is the one wanted.
            while wanted and wanted[0] < reached:
                found[wanted.popleft()] = None
            if error is None and wanted and wanted[0] == reached:
                found[wanted.popleft()] = record = record_of(message)
                max_bytes -= record.size_bytes
        return found


def _bytes_of(records: Mapping[int, Record | None]) -> int:
    return sum(record.size_bytes for record in records.values() if record)


def contiguous(offsets: Sequence[int]) -> list[list[int]]:
    """Cut sorted offsets into runs worth reading in one go."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset - runs[-1][-1] <= CONTIGUOUS_OFFSETS:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return runs


def _kafka(place: TopicPartition, offset: int = 0) -> confluent_kafka.TopicPartition:
    return confluent_kafka.TopicPartition(place.topic, place.partition, offset)
