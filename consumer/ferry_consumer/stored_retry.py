"""What a worker stored in the ledger for a task's next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import orjson

#: Why an entry ends whose stored attempt can't be read.
DAMAGED = "damaged-retry: what Redis held of its next attempt could not be read"


@dataclass(frozen=True, slots=True)
class StoredRetry:
    """The next message's body, and what its headers take over: the record's timestamp and the retries so far."""

    body: bytes
    timestamp_ms: int | None
    retries: int

    @classmethod
    def parse(cls, stored: bytes) -> Self | None:
        """Read it; None when it is nothing that a worker has written."""
        try:
            fields: Any = orjson.loads(stored)
            body, timestamp_ms, retries = fields["body"], fields.get("timestamp_ms"), fields["retries"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if not isinstance(body, str) or not isinstance(retries, int) or not isinstance(timestamp_ms, int | None):
            return None
        return cls(body.encode(), timestamp_ms, retries)
