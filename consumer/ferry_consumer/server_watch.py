"""Watches that Redis stays fit for the ledger: an operator can change its policy at any time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ferry_consumer.turns import Every
from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.ledger import server_check

if TYPE_CHECKING:
    import redis

log = logging.getLogger("ferry.consumer")

CHECK_EVERY_SECONDS = 60.0


class ServerWatch:
    """Checks at the first turn and then once a minute; a warning is told when it is new."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._turn = Every(CHECK_EVERY_SECONDS)
        self._told: frozenset[str] = frozenset()

    def check(self) -> None:
        """Ask, if it is time.

        Raises:
            ConfigurationError: with this Redis the promises don't hold.
            RedisUnavailable: it did not answer; it is asked again.
        """
        if not self._turn.is_due():
            return
        try:
            judgement = server_check.ask(self._client)
        except RedisUnavailable:
            self._turn.again()
            raise
        if judgement.refusals:
            raise ConfigurationError("CELERY_BROKER_URL: " + "; ".join(refusal.told for refusal in judgement.refusals))
        warnings = [warning.told for warning in judgement.warnings]
        for warning in warnings:
            if warning not in self._told:
                log.warning(warning)
        self._told = frozenset(warnings)
