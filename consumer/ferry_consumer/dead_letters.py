"""The dead-letter topic: the record unchanged, with headers that say where it came from and why it is there.

Headers: those of KIP-1191 (`__dlq.errors.…`, what Kafka's own share groups write), `x-original-…` (what tools look
for), and `ferry.…` (reason, task id). A header that the record already has keeps its first value; ours follow.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_consumer.client import created
from ferry_consumer.client_log import LOG_LEVEL_CRITICAL
from ferry_consumer.omission import without_large_parts
from ferry_shared.errors import dead_letter_reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from ferry_shared.record import Record, TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

CLOSE_TIMEOUT_SECONDS = 10.0
#: librdkafka's highest `message.max.bytes`: whether a dead letter is too large is for the topic to say.
UNLIMITED_BYTES = 1_000_000_000
#: Beyond so many bytes that Kafka hasn't acknowledged, the next dead letters wait.
MAX_BYTES_UNDER_WAY = 33_554_432
#: A topic's limit holds for a batch, so a large dead letter travels in a batch of its own.
BATCH_BYTES = 16_384
#: At most so many are remembered as refused; the others' time begins anew.
MAX_REMEMBERED_REFUSALS = 10_000
#: By this header a dead letter is found again.
TASK_ID_HEADER = "ferry.task-id"

_OMITTED = (
    "a dead letter is written without its large parts, which %s does not take; its record stays in Kafka until the "
    "topic's retention deletes it: copy it from there (x-original-… headers), and raise max.message.bytes"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that ends here. `error` is `reason: detail`; `record` is what Kafka had, or what is left of it.

    `omitted` are the headers that tell what was left out, because its topic doesn't take it.
    """

    place: TopicPartition
    member: str
    token: str
    task_id: str
    error: str
    deliveries: int
    record: Record
    reconstructed: bool = False
    omitted: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[TopicPartition, str, str]:
        """What tells it from every other."""
        return self.place, self.member, self.token


def headers(letter: DeadLetter, group: str) -> list[tuple[str, str | bytes | None]]:
    """The record's own headers, then ours."""
    record = letter.record
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
        "ferry.reason": dead_letter_reason(letter.error),
        TASK_ID_HEADER: letter.task_id,
    }
    if letter.reconstructed:
        ours["ferry.reconstructed"] = "true"
    ours |= dict(letter.omitted)
    return [*record.headers, *((name, value.encode("utf-8", "replace")) for name, value in ours.items())]


class DeadLetters:
    """Writes dead letters; `take_acknowledged` tells which ones Kafka has."""

    def __init__(self, settings: ConsumerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._group = settings.consumer_group
        self._suffix = settings.consumer_dead_letter_suffix
        self._patience_seconds = settings.consumer_dead_letter_patience_seconds
        self._clock = clock
        self._under_way: set[tuple[TopicPartition, str, str]] = set()
        self._bytes_under_way = 0
        self._too_large_since: dict[tuple[TopicPartition, str, str], float] = {}
        self._refused: list[DeadLetter] = []
        self._acknowledged: deque[DeadLetter] = deque()
        self._producer = created(confluent_kafka.Producer, _properties(settings))

    def is_under_way(self, key: tuple[TopicPartition, str, str]) -> bool:
        """Tell whether it was written and Kafka has not answered yet."""
        return key in self._under_way

    def write(self, letter: DeadLetter) -> bool:
        """Hand a dead letter to Kafka; False when enough is under way: try again later."""
        if self._bytes_under_way > MAX_BYTES_UNDER_WAY or not self._send(letter):
            return False
        log.warning("dead letter: %s", letter.error, extra=_of(letter))
        return True

    def _send(self, letter: DeadLetter) -> bool:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            self._under_way.discard(letter.key)
            self._bytes_under_way -= letter.record.size_bytes
            if error is None:
                self._too_large_since.pop(letter.key, None)
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
        self._bytes_under_way += record.size_bytes
        return True

    def _refuse(self, letter: DeadLetter, error: KafkaError) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and self._patience_is_over(letter):
            shorter = _shortened(letter)
            if shorter.omitted and not letter.omitted and self._send(shorter):
                log.error(_OMITTED, letter.record.topic + self._suffix, extra=_of(letter))
                return
        self._refused.append(letter)
        advice = self._advice(letter) if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else ""
        log.error("Kafka did not take a dead letter, trying again: %s%s", error.str(), advice, extra=_of(letter))

    def _patience_is_over(self, letter: DeadLetter) -> bool:
        now = self._clock()
        since = self._too_large_since.setdefault(letter.key, now)
        if len(self._too_large_since) > MAX_REMEMBERED_REFUSALS:
            del self._too_large_since[next(iter(self._too_large_since))]
        return now - since >= self._patience_seconds

    def _advice(self, letter: DeadLetter) -> str:
        return (
            f"; raise max.message.bytes of {letter.record.topic}{self._suffix} above {letter.record.size_bytes}: "
            "a dead letter is its record plus headers. "
            f"After {self._patience_seconds:.0f} s its large parts are left out"
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


def _shortened(letter: DeadLetter) -> DeadLetter:
    record, omitted = without_large_parts(letter.record)
    return replace(letter, record=record, omitted=tuple(omitted.items()))


def _of(letter: DeadLetter) -> dict[str, str]:
    return {"task_id": letter.task_id}


def _properties(settings: ConsumerSettings) -> dict[str, object]:
    ours: dict[str, object] = {
        "client.id": "ferry-dead-letters",
        "linger.ms": 20,
        "batch.size": BATCH_BYTES,
        # The broker's limit counts compressed bytes: what a sender compressed must fit again.
        "compression.type": "zstd",
        "message.timeout.ms": 60_000,
    }
    fixed = {
        "enable.idempotence": True,
        "acks": "all",
        "message.max.bytes": UNLIMITED_BYTES,
        "log_level": LOG_LEVEL_CRITICAL,
    }
    return ours | settings.client_properties() | fixed
