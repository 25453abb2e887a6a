"""Settings of the consumer."""

from typing import Literal

from pydantic import Field

from ferry_shared.settings.kafka import KafkaSettings
from ferry_shared.settings.logs import LogSettings
from ferry_shared.settings.redis import RedisSettings
from ferry_shared.settings.routing import RoutingSettings


class ConsumerSettings(KafkaSettings, RedisSettings, RoutingSettings, LogSettings):
    """The consumer."""

    consumer_instance_id: str = Field(
        "",
        description="Static membership (group.instance.id): set it to the host's name where one consumer runs a host.",
    )
    consumer_session_timeout_ms: int = Field(
        8_000,
        ge=6_000,
        le=1_800_000,
        description="When Kafka gives a silent consumer's partitions away (session.timeout.ms).",
    )
    consumer_offset_reset: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a group without commits starts a topic."
    )
    consumer_intake_max_messages: int = Field(1_000, ge=1, le=100_000, description="Records taken from Kafka at once.")
    consumer_batch_size: int = Field(
        1,
        ge=1,
        le=1_000,
        description="Most messages in one Celery message; what has arrived goes out, however little (within 25 ms).",
    )
    consumer_max_record_bytes: int = Field(
        1_048_588,
        ge=1,
        le=100_000_000,
        description="Largest value that is parsed; a larger one is a dead letter. Raise it with the broker's limit.",
    )
    consumer_max_in_flight_per_partition: int = Field(
        10_000,
        ge=1,
        description="Messages of a partition dispatched and not yet done; at the limit it pauses.",
    )
    consumer_max_span_per_partition: int = Field(
        1_000_000,
        ge=1,
        description="Offsets between a partition's oldest message in flight and its position; at the limit it pauses.",
    )
    consumer_snapshot_interval_ms: int = Field(
        250,
        ge=10,
        le=60_000,
        description="How often the ledger is read, for commits, retries and dead letters.",
    )
    consumer_status_interval_seconds: float = Field(
        5,
        gt=0,
        le=60,
        description="How often the status is written to Redis, for beat's status line.",
    )
    consumer_redeliver_after_seconds: float = Field(
        60,
        ge=5,
        description="Age after which a task that no worker holds and no queue contains is queued again.",
    )
    consumer_max_deliveries: int = Field(
        5,
        ge=1,
        le=100,
        description="How often a task that nobody acknowledges is queued before it becomes a dead letter.",
    )
    consumer_max_countdown_seconds: float = Field(
        3_600,
        ge=0,
        le=2_592_000,
        description="Longest delay by a route's countdown_field; a message that asks for more is a dead letter.",
    )
    consumer_dead_letter_suffix: str = Field(
        ".dlq",
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Dead-letter topic = topic + this.",
    )
    consumer_dead_letter_patience_seconds: float = Field(
        600,
        ge=0,
        le=31_536_000,
        description="How long Kafka may refuse a dead letter as too large before it is written without its value.",
    )
    consumer_dead_letter_limit_ratio: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of invalid records in a run at which a topic pauses instead of becoming dead letters.",
    )
    consumer_dead_letter_limit_run: int = Field(
        1_000,
        ge=0,
        le=10_000_000,
        description="How many of a topic's last records are looked at for that; 0: no limit.",
    )
    consumer_redis_memory_limit_ratio: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Share of Redis' maxmemory at which intake pauses.",
    )
    consumer_topic_partitions: int = Field(
        4, ge=1, le=10_000, description="Partitions of topics that the consumer creates."
    )
    consumer_topic_replication_factor: int = Field(
        -1,
        ge=-1,
        le=32_767,
        description="Replication factor of topics that the consumer creates; -1: the broker's default.",
    )
    consumer_max_backoff_seconds: float = Field(
        10, gt=0, le=300, description="Longest wait between two tries while Kafka or Redis is away."
    )
    consumer_http_host: str = Field("127.0.0.1", description="Address of /livez, /readyz and /metrics.")
    consumer_http_port: int = Field(8080, ge=0, le=65_535, description="Port of /livez, /readyz and /metrics; 0: none.")
