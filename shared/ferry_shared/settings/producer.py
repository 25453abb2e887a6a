"""Settings of the producer."""

from typing import Literal

from pydantic import Field

from ferry_shared.settings.kafka import KafkaSettings
from ferry_shared.settings.logs import LogSettings


class ProducerSettings(KafkaSettings, LogSettings):
    """The producer."""

    # Checked by the publisher, whose `topic` argument comes from elsewhere too.
    ferry_topic: str = Field("messages", description="Topic of the built-in route.")
    producer_acks: Literal["0", "1", "all"] = Field(
        "all", description="Who must have the message before it counts as sent: 0 (nobody), 1 (leader), all."
    )
    producer_retries: int | None = Field(
        None,
        ge=0,
        le=2_147_483_647,
        description="Retries of a failed send; empty: until the delivery timeout.",
    )
    producer_linger_ms: float = Field(
        5, ge=0, le=900_000, description="How long librdkafka waits to fill a batch (linger.ms)."
    )
    producer_delivery_timeout_ms: int = Field(
        120_000,
        ge=1,
        le=2_147_483_647,
        description="When an unacknowledged message counts as failed (message.timeout.ms).",
    )
    producer_max_pending_messages: int = Field(
        10_000, ge=1, le=10_000_000, description="Messages sent and not yet acknowledged; more wait."
    )
    producer_connect_timeout_seconds: float = Field(
        5, gt=0, le=3600, description="How long to look for Kafka at start before giving up with exit code 3."
    )
    producer_interval_seconds: float = Field(1, ge=0, le=86_400, description="Pause between two messages of --forever.")
