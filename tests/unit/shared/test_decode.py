"""Which bytes can become a task."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from ferry_shared.decode import MAX_DETAIL_CHARACTERS, check
from ferry_shared.errors import InvalidRecord
from ferry_shared.message import Message
from ferry_shared.validation import adapter_of

ADAPTER = adapter_of(Message)
MAX_BYTES = 1_048_588
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aé☃\n"\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text('aé☃\n"\\', min_size=1), st.dictionaries(st.text("xyz", min_size=1, max_size=3), JSON_VALUES, max_size=3)
)
def test_a_valid_message_passes_byte_for_byte(text: str, extra: dict[str, object]) -> None:
    """Unknown fields, integers of any size, any order: the bytes come back as they were."""
    value = json.dumps({"text": text} | extra).encode()
    assert check(value, ADAPTER, MAX_BYTES) is value


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_with_a_reason(value: bytes) -> None:
    """Random bytes end as an InvalidRecord and nothing else."""
    with pytest.raises(InvalidRecord) as caught:
        check(value, ADAPTER, MAX_BYTES)
    assert caught.value.reason in {"empty", "not-json", "invalid"}
    assert len(caught.value.detail) <= MAX_DETAIL_CHARACTERS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "not-json"),
        (b'{"text": NaN}', "not-json"),
        (b'{"text": "\\ud800"}', "not-json"),
        (b'\xef\xbb\xbf{"text": "byte-order mark"}', "not-json"),
        ('{"text": "x"}'.encode("utf-16"), "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"text": "x", "deep": ' + b"[" * 1000 + b"]" * 1000 + b"}", "invalid"),
        (b"[]", "invalid"),
        (b'"text"', "invalid"),
        (b"{}", "invalid"),
        (b'{"text": ""}', "invalid"),
        (b'{"text": 1}', "invalid"),
        (b'{"text": "' + b"x" * 65_537 + b'"}', "invalid"),
        (b'{"text": "x", "n": ' + b"9" * 10_000 + b"}", "not-json"),
        (b'{"text": "x", "sent_at": "yesterday"}', "invalid"),
    ],
)
def test_each_way_of_being_invalid_has_its_reason(value: bytes | None, reason: str) -> None:
    """By name, as the field knows them."""
    with pytest.raises(InvalidRecord) as caught:
        check(value, ADAPTER, MAX_BYTES)
    assert caught.value.reason == reason


def test_a_reason_names_the_field_and_never_the_value() -> None:
    """Dead-letter headers and logs must not repeat what was sent."""
    with pytest.raises(InvalidRecord, match="text: Field required") as caught:
        check(b'{"sent_at": "hunter2"}', ADAPTER, MAX_BYTES)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**70), 10**300])
def test_integers_beyond_64_bits_are_valid(number: int) -> None:
    """They are carried as bytes, so no parser can round them."""
    value = json.dumps({"text": "x", "number": number}).encode()
    assert check(value, ADAPTER, MAX_BYTES) == value


def test_what_is_too_large_is_not_even_parsed() -> None:
    """Whatever it holds: the limit is what bounds the memory of everything that follows."""
    with pytest.raises(InvalidRecord, match="too-large: 6 bytes, CONSUMER_MAX_RECORD_BYTES is 5"):
        check(b"x" * 6, ADAPTER, 5)
    with pytest.raises(InvalidRecord, match="not-json"):
        check(b"x" * 5, ADAPTER, 5)


class Careless(BaseModel):
    """A model whose author thought of texts only."""

    name: str

    @field_validator("name", mode="before")
    @classmethod
    def _upper(cls, name: str) -> str:
        return name.upper()


def test_a_validator_that_fails_makes_the_record_invalid() -> None:
    """What a user's own code raises must not stop the consumer at the same record for ever; its text may be private."""
    with pytest.raises(InvalidRecord) as caught:
        check(b'{"name": ["hunter2"]}', adapter_of(Careless), MAX_BYTES)
    assert str(caught.value) == "invalid: a validator of the model raised AttributeError"
