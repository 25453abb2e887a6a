"""The dead-letter topic: the record unchanged, with headers that say where it came from and why it is there.

Headers: those of KIP-1191 (`__dlq.errors.…`, what Kafka's own share groups write), `x-original-…` (what tools look
for), and `ferry.…` (reason, task id). A header that the record already has keeps its first value; ours follow.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_consumer.client import created
from ferry_consumer.client_log import LOG_LEVEL_CRITICAL

if TYPE_CHECKING:
    from confluent_kafka import Message

    from ferry_shared.record import Record, TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

CLOSE_TIMEOUT_SECONDS = 10.0
#: librdkafka's highest `message.max.bytes`: whether a dead letter is too large is for the topic to say.
UNLIMITED_BYTES = 1_000_000_000
#: By this header a dead letter is found again.
TASK_ID_HEADER = "ferry.task-id"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that ends here. `error` is `reason: detail`; `record` is what Kafka had, or what is left of it."""

    place: TopicPartition
    member: str
    token: str
    task_id: str
    error: str
    deliveries: int
    record: Record
    reconstructed: bool = False

    @property
    def key(self) -> tuple[TopicPartition, str, str]:
        """What tells it from every other."""
        return self.place, self.member, self.token


def headers(letter: DeadLetter, group: str) -> list[tuple[str, str | bytes | None]]:
    """The record's own headers, then ours."""
    record = letter.record
    reason = letter.error.partition(":")[0]
    ours = {
        "__dlq.errors.topic": record.topic,
        "__dlq.errors.partition": str(record.partition),
        "__dlq.errors.offset": str(record.offset),
        "__dlq.errors.group": group,
        "__dlq.errors.delivery.count": str(letter.deliveries),
        "__dlq.errors.message": letter.error,
        "x-original-topic": record.topic,
        "x-original-partition": str(record.partition),
        "x-original-offset": str(record.offset),
        "x-original-timestamp": "" if record.timestamp_ms is None else str(record.timestamp_ms),
        "ferry.reason": reason,
        TASK_ID_HEADER: letter.task_id,
    }
    if letter.reconstructed:
        ours["ferry.reconstructed"] = "true"
    return [*record.headers, *((name, value.encode("utf-8", "replace")) for name, value in ours.items())]


class DeadLetters:
    """Writes dead letters; `take_acknowledged` tells which ones Kafka has."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._group = settings.consumer_group
        self._suffix = settings.consumer_dead_letter_suffix
        self._under_way: set[tuple[TopicPartition, str, str]] = set()
        self._refused: list[DeadLetter] = []
        self._acknowledged: deque[DeadLetter] = deque()
        self._producer = created(confluent_kafka.Producer, _properties(settings))

    def is_under_way(self, key: tuple[TopicPartition, str, str]) -> bool:
        """Tell whether it was written and Kafka has not answered yet."""
        return key in self._under_way

    def write(self, letter: DeadLetter) -> bool:
        """Hand a dead letter to Kafka; False when the client's queue is full: try again later."""

        def delivered(error: KafkaError | None, _message: Message) -> None:
            self._under_way.discard(letter.key)
            if error is None:
                self._acknowledged.append(letter)
            else:
                self._refuse(letter, error)

        record = letter.record
        try:
            self._producer.produce(
                record.topic + self._suffix,
                value=record.value,
                key=record.key,
                headers=headers(letter, self._group),
                on_delivery=delivered,
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._refuse(letter, error.args[0])
            return True
        self._under_way.add(letter.key)
        log.warning("dead letter: %s", letter.error, extra=_of(letter))
        return True

    def _refuse(self, letter: DeadLetter, error: KafkaError) -> None:
        self._refused.append(letter)
        log.error(
            "Kafka did not take a dead letter, trying again: %s%s", error.str(), _advice(error), extra=_of(letter)
        )

    def take_refused(self) -> list[DeadLetter]:
        """Those that Kafka has refused since the last call; their entries stay."""
        letters, self._refused = self._refused, []
        return letters

    def take_acknowledged(self) -> list[DeadLetter]:
        """Those that Kafka has acknowledged since the last call; their entries can be cleared."""
        self._producer.poll(0)
        letters, self._acknowledged = list(self._acknowledged), deque()
        return letters

    def close(self) -> None:
        """Wait for what is under way; what remains stays in the ledger and is written again."""
        self._producer.flush(CLOSE_TIMEOUT_SECONDS)


def _advice(error: KafkaError) -> str:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return "; raise max.message.bytes of the dead-letter topic: a dead letter is its record plus headers"
    return ""


def _of(letter: DeadLetter) -> dict[str, str]:
    return {"task_id": letter.task_id}


def _properties(settings: ConsumerSettings) -> dict[str, object]:
    ours: dict[str, object] = {
        "client.id": "ferry-dead-letters",
        "linger.ms": 20,
        # The broker's limit counts compressed bytes: what a sender compressed must fit again.
        "compression.type": "zstd",
        "message.timeout.ms": 60_000,
        "log_level": LOG_LEVEL_CRITICAL,
    }
    fixed = {"enable.idempotence": True, "acks": "all", "message.max.bytes": UNLIMITED_BYTES}
    return ours | settings.client_properties() | fixed
