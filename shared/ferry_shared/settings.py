"""Settings: read from the environment and from `.env`, checked once, at start.

Each field is the environment variable of the same name in capitals. An empty variable counts as not set.
`.env` in the working directory is read when it exists; `FERRY_ENV_FILE` names another file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from ferry_shared.errors import ConfigurationError
from ferry_shared.kafka_properties import KafkaProperties, PropertyValue

REDIS_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})

SettingsT = TypeVar("SettingsT", bound="Settings")


class Settings(BaseSettings):
    """Base of every section: where values come from, and that no error ever shows one."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=True
    )


class KafkaSettings(Settings):
    """How Kafka is reached."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Kafka brokers, host:port, separated by commas."
    )
    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl."
    )
    kafka_sasl_mechanism: str = Field("", description="Such as SCRAM-SHA-512, PLAIN or OAUTHBEARER.")
    kafka_sasl_username: str = Field("", description="User name for SASL.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="Password for SASL; never printed.")
    kafka_ssl_ca_location: str = Field("", description="File with the certificate authorities to trust.")
    kafka_ssl_certificate_location: str = Field("", description="File with this client's certificate (mTLS).")
    kafka_ssl_key_location: str = Field("", description="File with this client's private key (mTLS).")
    kafka_ssl_key_password: SecretStr = Field(SecretStr(""), description="Password of that key; never printed.")
    kafka_client_properties: KafkaProperties = Field(
        default_factory=dict,
        description='Any other librdkafka property, as a JSON object: {"socket.timeout.ms": 10000}.',
    )

    def client_properties(self) -> dict[str, PropertyValue]:
        """Return the librdkafka properties that reach and authenticate with Kafka; KAFKA_CLIENT_PROPERTIES win."""
        named = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password.get_secret_value(),
            "ssl.ca.location": self.kafka_ssl_ca_location,
            "ssl.certificate.location": self.kafka_ssl_certificate_location,
            "ssl.key.location": self.kafka_ssl_key_location,
            "ssl.key.password": self.kafka_ssl_key_password.get_secret_value(),
        }
        return {name: value for name, value in named.items() if value} | self.kafka_client_properties


class RedisSettings(Settings):
    """The Redis or Valkey that holds the Celery queue and the ledger."""

    celery_broker_url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="Celery's broker: redis:// or rediss://."
    )
    celery_result_backend: SecretStr = Field(
        SecretStr(""),
        description="Where Celery keeps results, such as redis://localhost:6379/1; empty: nowhere.",
    )
    ferry_ledger_url: SecretStr = Field(
        SecretStr(""),
        description="Redis with the ledger; empty: the broker's, which it must be with a Redis broker.",
    )
    ferry_key_prefix: str = Field(
        "", description="Put before every key in Redis, Celery's too (kombu's global_keyprefix)."
    )

    @model_validator(mode="after")
    def _ledger_lives_with_the_queue(self) -> Self:
        broker = self.celery_broker_url.get_secret_value()
        if urlsplit(broker).scheme not in REDIS_SCHEMES:
            raise ValueError("CELERY_BROKER_URL: expected redis:// or rediss://, the ledger lives beside the queue")
        if self.ferry_ledger_url.get_secret_value() not in {"", broker}:
            raise ValueError(
                "FERRY_LEDGER_URL: expected the same as CELERY_BROKER_URL, or nothing, with a Redis broker"
            )
        return self

    @property
    def ledger_url(self) -> str:
        """The ledger's Redis URL (a secret: it may hold a password)."""
        return self.ferry_ledger_url.get_secret_value() or self.celery_broker_url.get_secret_value()


class RoutingSettings(Settings):
    """Which topic becomes which task."""

    ferry_topic: str = Field("messages", min_length=1, max_length=249, description="Topic of the built-in route.")
    ferry_routes: str = Field(
        "",
        description='Your routes, as "package.module:attribute"; empty: FERRY_TOPIC to the task printSomething.',
    )
    consumer_group: str = Field(
        "ferry",
        min_length=1,
        max_length=200,
        description="Kafka consumer group; each group has a ledger of its own.",
    )


class LogSettings(Settings):
    """What the logs look like."""

    log_format: Literal["plain", "json"] = Field("plain", description="plain (for people) or json (one object a line).")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_message_text: Literal["full", "truncate", "off"] = Field(
        "full", description="How much of a message's text is logged: full, truncate (200 characters) or off."
    )
    ferry_log_config: str = Field(
        "", description="Your own logging_config.json (logging.config.dictConfig); empty: the packaged one."
    )


class ProducerSettings(KafkaSettings, LogSettings):
    """The producer."""

    ferry_topic: str = Field("messages", min_length=1, max_length=249, description="Topic of the built-in route.")
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
        "earliest", description="Where a group without commits starts a topic: earliest or latest."
    )
    consumer_intake_max_messages: int = Field(1_000, ge=1, le=100_000, description="Records taken from Kafka at once.")
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
        description="How often the status is written for beat's status line and `ferry status`.",
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
    consumer_dead_letter_suffix: str = Field(
        ".dlq",
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Dead-letter topic = topic + this.",
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


class WorkerSettings(RedisSettings, RoutingSettings, LogSettings):
    """Worker and beat."""

    ferry_imports: str = Field("", description="Modules with your tasks, separated by commas: orders.tasks.")
    worker_task_time_limit_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Hard limit of a task: then its process is killed (task_time_limit).",
    )
    worker_task_soft_time_limit_seconds: int = Field(
        270,
        ge=1,
        le=86_400,
        description="Limit after which the task gets SoftTimeLimitExceeded (task_soft_time_limit).",
    )
    worker_lease_margin_seconds: int = Field(
        15,
        ge=5,
        le=3600,
        description="Added to the hard limit: how long a claim holds; twice: the visibility timeout.",
    )
    worker_max_claims: int = Field(
        3,
        ge=1,
        le=100,
        description="How often a task may start without an outcome before it becomes a dead letter.",
    )
    worker_redis_wait_seconds: float = Field(
        20,
        ge=0,
        le=300,
        description="How long a task waits for a Redis that is away before it goes back to the queue.",
    )
    worker_prefetch_multiplier: int = Field(4, ge=1, le=1000, description="Tasks each worker process reserves ahead.")
    worker_status_interval_seconds: float = Field(
        60, gt=0, le=86_400, description="How often beat asks for the status line."
    )

    @model_validator(mode="after")
    def _soft_limit_comes_first(self) -> Self:
        if self.worker_task_soft_time_limit_seconds > self.worker_task_time_limit_seconds:
            raise ValueError("WORKER_TASK_SOFT_TIME_LIMIT_SECONDS: expected at most WORKER_TASK_TIME_LIMIT_SECONDS")
        return self

    @property
    def lease_ms(self) -> int:
        """How long a claim holds: the hard time limit plus a margin, in milliseconds."""
        return (self.worker_task_time_limit_seconds + self.worker_lease_margin_seconds) * 1000

    @property
    def visibility_timeout_seconds(self) -> int:
        """When Redis hands a silent worker's tasks back: later than any lease ends (Celery: visibility_timeout)."""
        return self.worker_task_time_limit_seconds + 2 * self.worker_lease_margin_seconds


def load(section: type[SettingsT]) -> SettingsT:
    """Read one section.

    Raises:
        ConfigurationError: naming each wrong variable and what is expected of it, never a value.
    """
    settings, problems = _read(section, _env_file())
    if settings is None:
        # Raised outside the handler: pydantic's error holds the values (also in `errors()`), so it must not be chained.
        raise ConfigurationError("Ferry's settings need a change:\n" + "\n".join(f"  {line}" for line in problems))
    return settings


def _read(section: type[SettingsT], env_file: Path | None) -> tuple[SettingsT | None, list[str]]:
    try:
        return section(_env_file=env_file), []
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False, include_url=False)
        return None, [_sentence(detail["loc"], detail["msg"]) for detail in details]
    except SettingsError as error:
        return None, [str(error)]
    except UnicodeDecodeError:
        return None, [f"{env_file}: expected a text file in UTF-8"]


def _env_file() -> Path | None:
    named = os.environ.get("FERRY_ENV_FILE")
    if not named:
        return Path(".env")
    if not Path(named).is_file():
        raise ConfigurationError(f"FERRY_ENV_FILE: expected the path of a file, {named!r} is none")
    return Path(named)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message
