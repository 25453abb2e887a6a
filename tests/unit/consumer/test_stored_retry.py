"""What a worker stored for the next attempt is read, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.stored_retry import StoredRetry


@given(body=st.text(), timestamp_ms=st.none() | st.integers(-(2**40), 2**40), retries=st.integers(0, 100))
def test_what_was_stored_is_read(body: str, timestamp_ms: int | None, retries: int) -> None:
    """Body, timestamp and retries."""
    text = json.dumps({"body": body, "timestamp_ms": timestamp_ms, "retries": retries})
    assert StoredRetry.parse(text.encode()) == StoredRetry(body.encode(), timestamp_ms, retries)


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
