"""What became of a message: delivered, or not and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ferry_shared.errors import FerryError


@dataclass(frozen=True, slots=True)
class Delivered:
    """Kafka acknowledged the message. `offset` is None with acks=0, where Kafka confirms nothing.

    `latency_seconds` is the time from handing it over until then (librdkafka's `rd_kafka_message_latency`).
    """

    topic: str
    partition: int
    offset: int | None
    latency_seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Kafka did not acknowledge the message.

    `refused` says that this message can't be accepted (it is too large, say) and the next one may well be.
    Otherwise nobody answered, and the message may nevertheless be in the topic (librdkafka: possibly persisted).
    """

    reason: str
    refused: bool


Outcome = Delivered | Undelivered
Settle = Callable[[Outcome], None]


class NotDelivered(FerryError):
    """Kafka did not acknowledge the message."""

    def __init__(self, outcome: Undelivered) -> None:
        super().__init__(f"Kafka did not acknowledge the message: {outcome.reason}")
        self.outcome = outcome
