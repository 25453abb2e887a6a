"""What a worker stored for the next attempt is read, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.stored_retry import StoredRetry, kept_of


@given(body=st.text(), timestamp_ms=st.none() | st.integers(-(2**40), 2**40), retries=st.integers(0, 100))
def test_what_was_stored_is_read(body: str, timestamp_ms: int | None, retries: int) -> None:
    """Body, timestamp and retries."""
    text = json.dumps({"body": body, "timestamp_ms": timestamp_ms, "retries": retries})
    assert StoredRetry.parse(text.encode()) == StoredRetry(body.encode(), timestamp_ms, retries)


def wrapped(arguments: object) -> bytes:
    """What a retry stores, with these arguments."""
    body = json.dumps([arguments, {}, {"callbacks": None}])
    return json.dumps({"body": body, "timestamp_ms": 5, "retries": 1}).encode()


@given(payload=st.text(st.characters(exclude_categories=["Cs"])), others=st.lists(st.integers(), max_size=2))
def test_the_message_is_found_in_what_a_retry_stored(payload: str, others: list[int]) -> None:
    """It is the first argument."""
    assert kept_of(wrapped([payload, *others]), retried=True) == (payload.encode(), 5)


@given(stored=st.binary(min_size=1) | st.just(wrapped(["x"])))
def test_what_a_failure_stored_is_the_value_whatever_it_looks_like(stored: bytes) -> None:
    """Anybody may write a record that looks like a retry."""
    assert kept_of(stored, retried=False) == (stored, None)


@pytest.mark.parametrize(
    "stored", [b"{", wrapped([]), wrapped("text"), wrapped([7]), wrapped(["x"]).replace(b"{}", b"[]")]
)
def test_what_can_not_be_told_is_kept_as_it_is(stored: bytes) -> None:
    """Better than nothing; and nothing is nothing."""
    assert kept_of(stored, retried=True) == (stored, None)
    assert kept_of(b"", retried=True) == (None, None)


@pytest.mark.parametrize(
    "stored",
    [
        b"", b"{", b"[]", b"7", b'"x"', b"{}", b'{"body": 1, "retries": 0}', b'{"body": "x"}',
        b'{"body": "x", "retries": "0"}', b'{"body": "x", "retries": 0, "timestamp_ms": "1"}', b"\xff",
    ],
)  # fmt: skip
def test_anything_else_is_nothing(stored: bytes) -> None:
    """It must not stop the consumer."""
    assert StoredRetry.parse(stored) is None


@given(st.binary())
def test_no_bytes_raise(stored: bytes) -> None:
    """Whatever lies in Redis."""
    StoredRetry.parse(stored)
