"""One line becomes one record: value, key, or what is wrong with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.lines import Line
from ferry_producer.messages import InvalidText, built_in_value
from ferry_producer.outgoing import Recipe

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def key_by(recipe: Recipe, content: bytes = b"a") -> bytes | None:
    """The key of the record that the recipe makes of a line."""
    _, _, key = recipe.record(Line(1, content))
    return key


def key_of(content: bytes, *path: str) -> bytes | None:
    """The key of a message by a field of it."""
    return key_by(Recipe(lambda value: value, key_field=path), content)


@given(TEXTS, TEXTS)
def test_a_text_is_the_key_as_it_is(field: str, text: str) -> None:
    """Any name, any text."""
    assert key_of(json.dumps({field: text}).encode(), field) == text.encode()


@pytest.mark.parametrize(
    ("value", "key"),
    [("17", b"17"), ("1.50", b"1.50"), ("1" * 40, b"1" * 40), ("true", b"true"), ("-0", b"-0")],
)
def test_other_values_are_the_key_as_they_are_written(value: str, key: bytes) -> None:
    """A long order number keeps its digits: rounded, two of them would share a key."""
    assert key_of(b'{"order": {"id": %s}}' % value.encode(), "order", "id") == key


@pytest.mark.parametrize(
    "content", [b"{}", b'{"id": null}', b'{"id": ""}', b'{"id": [1]}', b'{"id": {}}', b"[1]", b'"id"']
)
def test_a_message_without_a_key_is_invalid(content: bytes) -> None:
    """Without one it would lose its place among those with the same key."""
    with pytest.raises(InvalidText, match=r"^id: expected a text or number to be the key$"):
        key_of(content, "id")


def test_deep_nesting_is_told() -> None:
    """It is no reason to end."""
    with pytest.raises(InvalidText, match="nested"):
        key_of(b"[" * 100_000 + b"]" * 100_000, "id")


def test_one_key_for_all_or_none() -> None:
    """What was given, also as a field of the message."""
    value = built_in_value(b'{"text": "a", "id": "1", "sent_at": "2026-01-02T03:04:05Z"}')
    assert key_by(Recipe(lambda _: value, key=b"k")) == b"k"
    assert key_by(Recipe(lambda _: value)) is None
    assert key_by(Recipe(lambda _: value, key_field=("id",))) == b"1"


def test_a_line_that_is_too_long_is_invalid() -> None:
    """It was not kept."""
    with pytest.raises(InvalidText, match=r"^longer than 16777216 bytes$"):
        Recipe(built_in_value).record(Line(1, None))
