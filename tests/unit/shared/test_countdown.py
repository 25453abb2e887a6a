"""When a message's task is due, by a field of the message."""

from collections import UserDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, TypeAdapter

from ferry_shared.countdown import due_ms_of
from ferry_shared.decode import checked
from ferry_shared.errors import InvalidRecord

NOW_MS = 1_700_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
LONGEST = 3_600.0


def due(value: Any, sent_ms: int | None = NOW_MS, longest: float = LONGEST) -> int | None:
    """When a plain JSON message with this field is due."""
    return due_ms_of({"after": value}, "after", sent_ms=sent_ms, now_ms=NOW_MS, longest_seconds=longest)


@pytest.mark.parametrize(
    ("value", "wait_ms"),
    [
        (None, None),
        (0, None),
        (-5, None),
        (2, 2_000),
        (0.25, 250),
        (Decimal("1.5"), 1_500),
        (timedelta(minutes=1), 60_000),
        (NOW + timedelta(seconds=3), 3_000),
        ((NOW + timedelta(seconds=3)).replace(tzinfo=None), 3_000),
        ((NOW + timedelta(seconds=3)).astimezone(timezone(timedelta(hours=-7))), 3_000),
        ((NOW + timedelta(seconds=3)).isoformat(), 3_000),
        ("2023-11-14T22:13:23Z", 3_000),
        (NOW - timedelta(days=1), None),
        (LONGEST, LONGEST * 1000),
    ],
)
def test_seconds_and_moments(value: Any, wait_ms: float | None) -> None:
    """What is over is due at once, and so is what says nothing."""
    assert due(value) == (None if wait_ms is None else NOW_MS + wait_ms)


@pytest.mark.parametrize(
    "value", [True, False, "soon", "", [], {}, b"5", float("nan"), date(2023, 11, 15), "2023-11-14T22:13:23+99:00"]
)
def test_anything_else_makes_the_record_invalid(value: Any) -> None:
    """The field is named, its value is not."""
    with pytest.raises(InvalidRecord) as refused:
        due(value)
    assert str(refused.value) == "invalid: after: expected seconds, or a moment, to wait for"


@pytest.mark.parametrize(
    "value",
    [
        LONGEST + 0.1,
        float("inf"),
        10**400,
        Decimal(10) ** 400,
        datetime.max.replace(tzinfo=UTC),
        NOW + timedelta(hours=1, seconds=1),
    ],
)
def test_more_than_the_setting_allows_makes_the_record_invalid(value: Any) -> None:
    """A sender that means milliseconds is told, instead of the group waiting for a month."""
    with pytest.raises(InvalidRecord, match=r"after: later than CONSUMER_MAX_COUNTDOWN_SECONDS \(3600\) allows"):
        due(value)


def test_seconds_count_from_when_the_record_was_sent() -> None:
    """What waited in Kafka has waited; a sender's clock that is ahead makes nothing longer; without a time: now."""
    assert due(60, NOW_MS - 20_000) == NOW_MS + 40_000
    assert due(60, NOW_MS - 60_000) is None
    assert due(60, NOW_MS + 86_400_000) == NOW_MS + 60_000
    assert due(60, None) == NOW_MS + 60_000
    assert due(60, -1) is None


class Order(BaseModel):
    """A message."""

    after: float | AwareDatetime | None = None


@dataclass
class Letter:
    """Another kind of one."""

    after: timedelta


@pytest.mark.parametrize(
    ("kind", "text", "wait_ms"),
    [
        (Order, b'{"after": 2}', 2_000),
        (Order, b'{"after": "2023-11-14T22:13:23Z"}', 3_000),
        (Order, b"{}", None),
        (Letter, b'{"after": "PT5S"}', 5_000),
        (dict[str, Any], b'{"after": 2}', 2_000),
        (dict[str, Any], b'{"other": 2}', None),
        (Any, b"[1]", None),
    ],
)
def test_messages_of_any_kind(kind: Any, text: bytes, wait_ms: int | None) -> None:
    """As the route's model makes them of a record."""
    message = checked(text, TypeAdapter[Any](kind), 1_000).message
    expected = None if wait_ms is None else NOW_MS + wait_ms
    assert due_ms_of(message, "after", sent_ms=NOW_MS, now_ms=NOW_MS, longest_seconds=LONGEST) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(
    value=json_values | st.datetimes() | st.datetimes(timezones=st.timezones()) | st.timedeltas() | st.decimals(),
    sent_ms=st.none() | st.integers(-(2**62), 2**62),
    longest=st.floats(0, 2_592_000),
)
def test_whatever_the_field_holds(value: Any, sent_ms: int | None, longest: float) -> None:
    """It is due within the limit, or at once, or invalid: nothing else comes out."""
    found = None
    with suppress(InvalidRecord):
        found = due(value, sent_ms, longest)
    assert found is None or NOW_MS <= found <= NOW_MS + longest * 1000


def test_other_mappings_count_as_plain_json() -> None:
    """By their keys."""
    message = UserDict({"after": 1})
    assert due_ms_of(message, "after", sent_ms=None, now_ms=NOW_MS, longest_seconds=5) == NOW_MS + 1_000
