"""What Kafka says of one message: its record, and its dead letters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_console.trace.findings import DeadLetters, KafkaView
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.record import TopicPartition, next_offset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from ferry_shared.record import Record, TaskId
    from ferry_shared.settings import ConsumerSettings

REQUEST_TIMEOUT_SECONDS = 5.0
#: How long the dead-letter topic is searched.
SEARCH_SECONDS = 10.0
#: Clocks differ: a dead letter counts as possibly written this much before its record was sent.
CLOCK_MARGIN_MS = 60_000
_RECORDS_AT_ONCE = 500

#: Per partition the first offset of a stretch, and the one after its last.
Stretches = dict[int, tuple[int, int]]


class KafkaSide:
    """One client, for one message; `close` it."""

    def __init__(self, settings: ConsumerSettings) -> None:
        from ferry_consumer.client import created  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.client_log import LOG_LEVEL_CRITICAL  # noqa: PLC0415 - other services are imported when needed

        self._settings = settings
        own = {
            "group.id": f"ferry-trace-{uuid4().hex}",
            "client.id": "ferry-trace",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "isolation.level": "read_committed",
            "log_level": LOG_LEVEL_CRITICAL,
        }
        properties = own | settings.client_properties()
        self._consumer: confluent_kafka.Consumer = created(confluent_kafka.Consumer, properties)

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def record(self, task_id: TaskId) -> KafkaView:
        """Read a task's record, and how far its log reaches.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        from ferry_consumer.record_reader import RecordReader  # noqa: PLC0415 - other services are imported when needed

        place = TopicPartition(task_id.topic, task_id.partition)
        log = self._logs(task_id.topic).get(task_id.partition)
        if log is None:
            return KafkaView(None, None, None)
        reader = RecordReader(self._settings)
        try:
            found = reader.read(place, [task_id.first], REQUEST_TIMEOUT_SECONDS)
        finally:
            reader.close()
        if task_id.first not in found:
            raise KafkaUnavailable(f"Kafka: reading {place} took longer than {REQUEST_TIMEOUT_SECONDS:.0f} s")
        return KafkaView(*log, found[task_id.first])

    def dead_letters(self, task_id: TaskId, sent_ms: int | None) -> DeadLetters:
        """Search the dead-letter topic for a task's id: what was written since the message was sent, then the rest.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        topic = task_id.topic + self._settings.consumer_dead_letter_suffix
        logs = {number: log for number, log in self._logs(topic).items() if log[1] > log[0]}
        likely = self._written_since(topic, logs, sent_ms)
        search = _Search(self._consumer, topic, task_id.text.encode(), time.monotonic() + SEARCH_SECONDS)
        complete = search.read(likely)
        if not search.found:
            # The sender's clock may have been wrong.
            rest = {number: (logs[number][0], likely[number][0]) for number in logs}
            complete = search.read(rest) and complete
        return DeadLetters(tuple(search.found), search.count, complete or bool(search.found))

    def _logs(self, topic: str) -> Stretches:
        """Per partition its first offset, and the one after its last; empty where there is no such topic."""
        try:
            # A topic that isn't there, or can't be read, has no partitions in the answer.
            described = self._consumer.list_topics(topic, timeout=REQUEST_TIMEOUT_SECONDS).topics[topic]
            if described.error is not None and described.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                problem = KafkaException(described.error)
            else:
                return {number: self._log(topic, number) for number in described.partitions}
        except KafkaException as error:
            problem = error
        raise self._unavailable(topic, problem) from problem

    def _log(self, topic: str, number: int) -> tuple[int, int]:
        place = confluent_kafka.TopicPartition(topic, number)
        return self._consumer.get_watermark_offsets(place, timeout=REQUEST_TIMEOUT_SECONDS)

    def _written_since(self, topic: str, logs: Stretches, sent_ms: int | None) -> Stretches:
        """The part of each log that was written after `sent_ms` (None: all of it)."""
        if sent_ms is None or not logs or sent_ms <= CLOCK_MARGIN_MS or sent_ms > time.time() * 1000:
            return logs
        wanted = [confluent_kafka.TopicPartition(topic, number, sent_ms - CLOCK_MARGIN_MS) for number in logs]
        try:
            answers = self._consumer.offsets_for_times(wanted, timeout=REQUEST_TIMEOUT_SECONDS)
        except KafkaException as error:
            raise self._unavailable(topic, error) from error
        # A negative offset says that nothing is that young.
        starts = {at.partition: at.offset if at.offset >= 0 else logs[at.partition][1] for at in answers}
        return {number: (max(start, starts.get(number, start)), end) for number, (start, end) in logs.items()}

    def _unavailable(self, topic: str, error: KafkaException) -> KafkaUnavailable:
        servers = self._settings.kafka_bootstrap_servers
        return KafkaUnavailable(f"Kafka at {servers}: reading {topic}: {error.args[0].str()}")


@dataclass
class _Search:
    """Reads stretches of a topic for records with one task id, until its time is over."""

    consumer: confluent_kafka.Consumer
    topic: str
    task_id: bytes
    deadline: float
    found: list[Record] = field(default_factory=list)
    count: int = 0

    def read(self, stretches: Mapping[int, tuple[int, int]]) -> bool:
        """Read these stretches; tells whether the time sufficed.

        Raises:
            KafkaUnavailable: Kafka did not answer.
        """
        left = {number: end for number, (start, end) in stretches.items() if start < end}
        self.consumer.assign(
            [confluent_kafka.TopicPartition(self.topic, number, stretches[number][0]) for number in left]
        )
        try:
            while left and time.monotonic() < self.deadline:
                for message in self._next():
                    self._look_at(message, left)
            return not left
        finally:
            self.consumer.unassign()

    def _next(self) -> list[Message]:
        try:
            return self.consumer.consume(_RECORDS_AT_ONCE, min(0.5, max(0.0, self.deadline - time.monotonic())))
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: reading {self.topic}: {error.args[0].str()}") from error

    def _look_at(self, message: Message, left: dict[int, int]) -> None:
        from ferry_consumer.dead_letters import TASK_ID_HEADER  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.dispatch import record_of  # noqa: PLC0415 - other services are imported when needed

        number = message.partition() or 0
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaUnavailable(f"Kafka: reading {self.topic}: {error.str()}")
            left.pop(number, None)
            return
        offset, end = message.offset() or 0, left.get(number, 0)
        if offset < end:
            self.count += 1
            # The record's own headers come first, and a sender can write any: the last one is Ferry's.
            record = record_of(message)
            if dict(record.headers).get(TASK_ID_HEADER) == self.task_id:
                self.found.append(record)
        if next_offset(offset) >= end:
            left.pop(number, None)
