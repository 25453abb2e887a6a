"""Send records again, and tell of each whether Kafka has it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from ferry_console.dead_letters.replays import Replay
    from ferry_shared.settings import ConsumerSettings

#: How long Kafka has for each record.
SEND_TIMEOUT_SECONDS = 30.0
#: librdkafka's highest: whether a record is too large is for the topic to say, which took it once.
_UNLIMITED_BYTES = 1_000_000_000
#: After these a record is surely not in the log. After others, such as a time-out, it may be.
_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class Delivery(StrEnum):
    """What Kafka said. `UNKNOWN`: nothing that could be relied on."""

    SENT = "sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one record, and Kafka's `error` unless it was sent."""

    delivery: Delivery
    error: str = ""


class ReplaySender:
    """One producer, for one command."""

    def __init__(self, settings: ConsumerSettings) -> None:
        from ferry_consumer.client import created  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.client_log import LOG_LEVEL_CRITICAL  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.dead_letters import BATCH_BYTES  # noqa: PLC0415 - other services are imported when needed

        ours: dict[str, object] = {
            "client.id": "ferry-replay",
            "linger.ms": 5,
            "compression.type": "zstd",
            "log_level": LOG_LEVEL_CRITICAL,
            "allow.auto.create.topics": False,
        }
        fixed = {
            "enable.idempotence": True,
            "acks": "all",
            "message.max.bytes": _UNLIMITED_BYTES,
            "message.timeout.ms": int(SEND_TIMEOUT_SECONDS * 1000),
            # A topic's limit holds for a batch: what it took once must not be refused for its neighbours.
            "batch.size": BATCH_BYTES,
        }
        properties = ours | settings.client_properties() | fixed
        self._producer: confluent_kafka.Producer = created(confluent_kafka.Producer, properties)

    def send(self, replays: Sequence[Replay]) -> list[Answer]:
        """Send these, and wait for Kafka's answer to each."""
        answers = [Answer(Delivery.UNKNOWN, "Kafka has not answered")] * len(replays)

        def delivered(number: int, error: KafkaError | None, _message: Message) -> None:
            answers[number] = answer_of(error)

        for number, one in enumerate(replays):
            try:
                self._producer.produce(
                    one.topic, one.value, one.key, one.partition, partial(delivered, number), headers=list(one.headers)
                )
            except KafkaException as error:
                answers[number] = Answer(Delivery.REFUSED, error.args[0].str())
            except BufferError as error:
                answers[number] = Answer(Delivery.REFUSED, str(error))
        self._producer.flush(SEND_TIMEOUT_SECONDS + 5)
        return answers


def answer_of(error: KafkaError | None) -> Answer:
    """Judge a delivery report."""
    if error is None:
        return Answer(Delivery.SENT)
    return Answer(Delivery.REFUSED if error.code() in _REFUSALS else Delivery.UNKNOWN, error.str())
