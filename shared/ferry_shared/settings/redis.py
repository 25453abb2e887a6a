"""Settings of everybody who talks to the Redis with the queue and the ledger."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from ferry_shared.settings.section import Settings

REDIS_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})
_EXPECTED = "expected redis://host:port/database or rediss://, special characters of a password percent-encoded"


def _redis_url(url: SecretStr) -> SecretStr:
    """Refuse here what redis-py would refuse later: its errors, like urllib's, quote parts of the password."""
    if not _is_redis_url(url.get_secret_value()):
        raise ValueError(_EXPECTED)
    return url


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in REDIS_SCHEMES and re.fullmatch("/?[0-9]*", parts.path) is not None


def _redis_url_or_empty(url: SecretStr) -> SecretStr:
    return _redis_url(url) if url.get_secret_value() else url


class RedisSettings(Settings):
    """The Redis or Valkey that holds the Celery queue and the ledger."""

    celery_broker_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://localhost:6379/0"),
        description="Celery's broker, redis:// or rediss://: the ledger lives beside the queue.",
    )
    celery_result_backend: SecretStr = Field(
        SecretStr(""),
        description="Where Celery keeps results, such as redis://localhost:6379/1; empty: nowhere.",
    )
    ferry_ledger_url: Annotated[SecretStr, AfterValidator(_redis_url_or_empty)] = Field(
        SecretStr(""),
        description="Redis with the ledger; empty: the broker's, which it must be with a Redis broker.",
    )
    ferry_key_prefix: str = Field(
        "", description="Put before every key in Redis, Celery's too (kombu's global_keyprefix)."
    )

    @model_validator(mode="after")
    def _ledger_lives_with_the_queue(self) -> Self:
        if self.ferry_ledger_url.get_secret_value() not in {"", self.celery_broker_url.get_secret_value()}:
            raise ValueError(
                "FERRY_LEDGER_URL: expected the same as CELERY_BROKER_URL, or nothing, with a Redis broker"
            )
        return self

    @property
    def ledger_url(self) -> str:
        """The ledger's Redis URL (a secret: it may hold a password)."""
        return self.ferry_ledger_url.get_secret_value() or self.celery_broker_url.get_secret_value()
