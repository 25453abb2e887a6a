"""Read parts of a topic with a plain Kafka consumer: it joins no group, commits nothing, and makes no topic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_shared.errors import KafkaUnavailable
from ferry_shared.record import next_offset

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from ferry_shared.record import Record
    from ferry_shared.settings import ConsumerSettings

REQUEST_TIMEOUT_SECONDS = 5.0
_RECORDS_AT_ONCE = 100
#: What the client reads ahead of us; a stretch is often short.
_READ_AHEAD_KILOBYTES = 8_192

#: Per partition the first offset of a stretch, and the one after its last.
Stretches = dict[int, tuple[int, int]]


class TopicLog:
    """One client, for one command; `close` it. Every method raises KafkaUnavailable if Kafka does not answer."""

    def __init__(self, settings: ConsumerSettings, client_id: str) -> None:
        from ferry_consumer.client import created, reader_properties  # noqa: PLC0415 - other services are imported when needed

        self._servers = settings.kafka_bootstrap_servers
        ours = {
            "client.id": client_id,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": _READ_AHEAD_KILOBYTES,
        }
        properties = ours | settings.client_properties() | reader_properties(client_id)
        self._consumer: confluent_kafka.Consumer = created(confluent_kafka.Consumer, properties)

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def whole(self, topic: str) -> Stretches:
        """Per partition its first offset, and the one after its last; empty where there is no such topic."""
        try:
            # A topic that isn't there, or can't be read, has no partitions in the answer.
            described = self._consumer.list_topics(topic, timeout=REQUEST_TIMEOUT_SECONDS).topics[topic]
            if described.error is not None and described.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                problem = KafkaException(described.error)
            else:
                return {number: self._ends(topic, number) for number in described.partitions}
        except KafkaException as error:
            problem = error
        raise self._unavailable(topic, problem) from problem

    def _ends(self, topic: str, number: int) -> tuple[int, int]:
        place = confluent_kafka.TopicPartition(topic, number)
        return self._consumer.get_watermark_offsets(place, timeout=REQUEST_TIMEOUT_SECONDS)

    def first_since(self, topic: str, whole: Stretches, moment_ms: int) -> dict[int, int]:
        """Per partition the first offset that was written at `moment_ms` or later; the log's end where none was.

        Everything before that offset was written earlier. Behind it the order of times is the senders'.
        """
        if not whole or moment_ms <= 0:
            return {number: start for number, (start, _) in whole.items()}
        wanted = [confluent_kafka.TopicPartition(topic, number, moment_ms) for number in whole]
        try:
            answers = self._consumer.offsets_for_times(wanted, timeout=REQUEST_TIMEOUT_SECONDS)
        except KafkaException as error:
            raise self._unavailable(topic, error) from error
        # A negative offset says that nothing is that young.
        found = {at.partition: at.offset for at in answers if at.offset >= 0}
        return {number: max(start, found.get(number, end)) for number, (start, end) in whole.items()}

    def read(self, topic: str, stretches: Stretches, deadline: float, look: Callable[[Record], None]) -> bool:
        """Show `look` each record of the stretches, until `deadline` (time.monotonic); tells whether that sufficed."""
        left = {number: end for number, (start, end) in stretches.items() if start < end}
        self._consumer.assign([confluent_kafka.TopicPartition(topic, number, stretches[number][0]) for number in left])
        try:
            while left and time.monotonic() < deadline:
                for message in self._next(topic, deadline):
                    self._look_at(message, topic, left, look)
            return not left
        finally:
            self._consumer.unassign()

    def _next(self, topic: str, deadline: float) -> list[Message]:
        try:
            return self._consumer.consume(_RECORDS_AT_ONCE, min(0.5, max(0.0, deadline - time.monotonic())))
        except KafkaException as error:
            raise self._unavailable(topic, error) from error

    def _look_at(self, message: Message, topic: str, left: dict[int, int], look: Callable[[Record], None]) -> None:
        from ferry_consumer.kafka_message import record_of  # noqa: PLC0415 - other services are imported when needed

        number = message.partition() or 0
        if (error := message.error()) is not None:
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._pass_over(topic, number, left)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.pop(number, None)
            else:
                raise self._unavailable(topic, KafkaException(error))
            return
        offset, end = message.offset() or 0, left.get(number, 0)
        if offset < end:
            look(record_of(message))
        if next_offset(offset) >= end:
            left.pop(number, None)

    def _pass_over(self, topic: str, number: int, left: dict[int, int]) -> None:
        """Go on behind what was deleted meanwhile, by retention or by a purge."""
        try:
            start, _ = self._ends(topic, number)
            if start >= left.get(number, 0):
                left.pop(number, None)
                return
            # A partition whose offset is out of range isn't fetched any more, and can't be sought.
            self._consumer.incremental_unassign([confluent_kafka.TopicPartition(topic, number)])
            self._consumer.incremental_assign([confluent_kafka.TopicPartition(topic, number, start)])
        except KafkaException as error:
            raise self._unavailable(topic, error) from error

    def _unavailable(self, topic: str, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._servers}: reading {topic}: {error.args[0].str()}")
