"""When a message's task is due, by a field of the message: seconds since it was sent, or a moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ferry_shared.errors import InvalidRecord


def due_ms_of(message: Any, field: str, *, sent_ms: int | None, now_ms: int, longest_seconds: float) -> int | None:
    """When the task may be queued (ms since 1970); None: at once.

    `message` is what the route's model made of the record. Its `field` holds seconds (a number or timedelta) from
    `sent_ms` on, the record's timestamp, but never from later than `now_ms`: a sender's clock can be ahead. Or it holds
    a moment: a datetime, or its ISO 8601 text where the model is plain JSON; one without time zone is UTC.

    Raises:
        InvalidRecord: it is something else, or later than `longest_seconds` from now on.
    """
    value = message.get(field) if isinstance(message, Mapping) else getattr(message, field, None)
    if value is None:
        return None
    sent = now_ms if sent_ms is None else min(sent_ms, now_ms)
    due = _due_ms(value, sent)
    if due is None:
        raise InvalidRecord("invalid", f"{field}: expected seconds, or a moment, to wait for")
    if due - now_ms > longest_seconds * 1000:
        raise InvalidRecord(
            "invalid", f"{field}: later than CONSUMER_MAX_COUNTDOWN_SECONDS ({longest_seconds:g}) allows"
        )
    return int(due) if due > now_ms else None


def _due_ms(value: Any, sent_ms: int) -> float | None:
    """As milliseconds since 1970; None for what is neither seconds nor a moment."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    match value:
        case bool():
            return None
        case int() | float() | Decimal():
            return _after(value, sent_ms)
        case timedelta():
            return _after(value.total_seconds(), sent_ms)
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)
    return None


def _after(seconds: float | Decimal, sent_ms: int) -> float | None:
    try:
        wait_ms = float(seconds) * 1000
    except OverflowError:
        return math.inf
    except ValueError:
        # A signalling NaN, which pydantic lets pass as a Decimal.
        return None
    return None if math.isnan(wait_ms) else sent_ms + wait_ms
