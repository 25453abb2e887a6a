"""Which app's tasks are tracked, and how they reach the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ferry_shared.errors import ConfigurationError
from ferry_shared.settings import REDIS_SCHEMES
from ferry_worker.configuration import worker_settings
from ferry_worker.ledger_access import parent_ledger, pool_ledger

if TYPE_CHECKING:
    from ferry_shared.ledger.worker_ledger import WorkerLedger
    from ferry_shared.settings import WorkerSettings

_ledger_urls: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def name_ledger(app: Any, url: str) -> None:
    """Say where the ledger of an app's tasks is, when that isn't the app's broker."""
    _ledger_urls[app] = url


@dataclass(frozen=True, slots=True)
class Tracking:
    """The settings of an app's tracked tasks, and the Redis of their ledger (a secret: it may hold a password)."""

    settings: WorkerSettings
    ledger_url: str

    @property
    def pool_ledger(self) -> WorkerLedger:
        """The ledger for a pool process."""
        return pool_ledger(self.ledger_url, self.settings.ferry_key_prefix)

    @property
    def parent_ledger(self) -> WorkerLedger:
        """The ledger for the worker's parent process."""
        return parent_ledger(self.ledger_url, self.settings.ferry_key_prefix)


@cache
def tracking_of(app: Any) -> Tracking:
    """Return how an app's tasks reach the ledger.

    Raises:
        ConfigurationError: the settings are wrong, or the broker isn't Redis and nothing names the ledger's.
    """
    settings = worker_settings()
    named = _ledger_urls.get(app) or settings.ferry_ledger_url.get_secret_value()
    url = named or app.conf.broker_url or ""
    if url.partition("://")[0] not in REDIS_SCHEMES:
        raise ConfigurationError("FERRY_LEDGER_URL: expected redis:// or rediss://, since the broker is no Redis")
    return Tracking(settings, url)
