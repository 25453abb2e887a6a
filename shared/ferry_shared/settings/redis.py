"""Settings of everybody who talks to the Redis with the queue and the ledger."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from ferry_shared.settings.section import Settings

REDIS_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})


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
