"""What the ledger holds of a message that waits: for its next attempt, or, delayed, for its first one."""

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

    def to_bytes(self) -> bytes:
        """What the ledger stores."""
        return orjson.dumps({"body": self.body.decode(), "retries": self.retries, "timestamp_ms": self.timestamp_ms})

    @property
    def payload(self) -> bytes | None:
        """The message's text, as the record's value was or as the task changed it; None when it can't be told."""
        try:
            parts = orjson.loads(self.body)
        except ValueError:
            return None
        match parts:
            case [[str(text), *_], dict(), dict()]:
                return text.encode()
        return None


def kept_of(stored: bytes, *, retried: bool) -> tuple[bytes | None, int | None]:
    """What an entry keeps of its record: the value, and the timestamp (ms) where that was kept, too.

    A failure stores the value itself, a retry the next attempt's message, and so does a delay. Unless the entry was
    `retried` or delayed it is a value, whatever it looks like; what can't be told apart is returned as it is.
    """
    retry = StoredRetry.parse(stored) if retried else None
    if retry is None or retry.payload is None:
        return stored or None, None
    return retry.payload, retry.timestamp_ms
