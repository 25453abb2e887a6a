"""Texts and lines become messages, or say what is wrong with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer import sources
from ferry_producer.lines import Line
from ferry_producer.stop import Stop, Stopped
from ferry_shared.message import MAX_TEXT_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(TEXTS.filter(lambda name: name not in {"text", "id", "sent_at"}), JSON_VALUES, max_size=4)


@given(TEXTS.filter(lambda text: not text.lstrip().startswith("{")))
def test_any_other_text_becomes_the_text(text: str) -> None:
    """Whatever isn't a JSON object is carried as it is, and gets an id and a time."""
    message = sources.message_from(text.encode())
    assert message.text == text
    assert message.id
    assert message.sent_at.tzinfo is not None


@given(TEXTS, FIELDS, st.sampled_from(["", " ", "\t"]))
def test_a_json_object_is_the_message(text: str, fields: dict[str, object], space: str) -> None:
    """Unknown fields reach Kafka with their values, integers of any size included."""
    line = space + json.dumps(fields | {"text": text})
    sent = json.loads(sources.message_from(line.encode()).model_dump_json())
    assert sent.pop("id")
    assert sent.pop("sent_at")
    assert sent == fields | {"text": text}


@given(st.integers(min_value=2**63))
def test_integers_beyond_64_bits_stay(number: int) -> None:
    """An order number of thirty digits isn't rounded."""
    sent = sources.message_from(json.dumps({"text": "a", "order": [number, -number]}).encode()).model_dump_json()
    assert json.loads(sent)["order"] == [number, -number]


def test_given_id_and_time_stay() -> None:
    """A message that has an id and a time keeps both."""
    message = sources.message_from(b'{"text": "a", "id": "mine", "sent_at": "2026-01-02T03:04:05+02:00"}')
    assert (message.id, message.sent_at.isoformat()) == ("mine", "2026-01-02T03:04:05+02:00")


@pytest.mark.parametrize(
    "line",
    ['"quoted"', "17", "[1, 2]", "{broken", '{"text": "a"} and more', "{'text': 'a'}", '{"text": "a", "x": NaN}'],
)
def test_what_is_no_json_object_is_text(line: str) -> None:
    """Other JSON values, and what only looks like an object, are texts."""
    assert sources.message_from(line.encode()).text == line


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{}", "text: Field required"),
        (b'{"text": ""}', "text: String should have at least 1 character"),
        (b'{"text": 5}', "text: Input should be a valid string"),
        (b'{"text": "a", "id": ""}', "id: String should have at least 1 character"),
        (b'{"text": "a", "sent_at": "2026-01-02T03:04:05"}', "sent_at: Input should have timezone info"),
        (b"a" * (MAX_TEXT_CHARACTERS + 1), "text: String should have at most 65536 characters"),
        (b"a\xffb", "not UTF-8 at byte 2"),
        (None, "longer than 16777216 bytes"),
    ],
)
def test_an_invalid_text_says_what_is_wrong(content: bytes | None, problem: str) -> None:
    """The reason names the field and what is expected."""
    with pytest.raises(sources.InvalidText) as error:
        sources.message_from(content)
    assert str(error.value) == problem


@given(st.binary(max_size=50))
def test_any_bytes_are_a_message_or_invalid(content: bytes) -> None:
    """No input makes anything else happen; an object with any text is kept or refused as well."""
    for line in (content, b'{"text": "' + content + b'"}'):
        with contextlib.suppress(sources.InvalidText):
            assert json.loads(sources.message_from(line).model_dump_json())["text"]


def test_a_wrong_argument_is_named() -> None:
    """The number of the argument is told; `-` is none; bytes that are not UTF-8 are told too."""
    assert sources.checked_arguments(["a", "-"]) == [Line(1, b"a"), Line(2, b"-")]
    with pytest.raises(sources.InvalidText, match=r"^argument 2: text: "):
        sources.checked_arguments(["a", ""])
    with pytest.raises(sources.InvalidText, match=r"^argument 1: not UTF-8 at byte 1$"):
        sources.checked_arguments(["\udcff"])


async def collect(batches: AsyncIterator[list[Line]]) -> list[Line]:
    """All lines of a source."""
    return [line async for batch in batches for line in batch]


def pipe_with(content: bytes) -> int:
    """A pipe that gives `content` and ends."""
    source, target = os.pipe()
    os.write(target, content)
    os.close(target)
    return source


async def test_standard_input_stands_among_arguments() -> None:
    """Arguments and lines come in their order, empty lines are skipped but counted, CRLF and the BOM go."""
    descriptor = pipe_with(b"\xef\xbb\xbfone\r\n\r\n\n two \nlast")
    lines = await collect(sources.once([Line(1, b"a"), Line(2, b"-"), Line(3, b"b")], descriptor, Stop(1)))
    assert lines == [Line(1, b"a"), Line(1, b"one"), Line(4, b" two "), Line(5, b"last"), Line(3, b"b")]
    os.close(descriptor)


async def test_a_signal_ends_the_wait_for_input() -> None:
    """Nobody types, a signal comes: the source says so instead of ending."""
    source, target = os.pipe()
    stop = Stop(1)
    stop.ask(signal.SIGINT)
    with pytest.raises(Stopped):
        await collect(sources.once([Line(1, b"-")], source, stop))
    os.close(target)


async def test_unreadable_input_is_told(tmp_path: object) -> None:
    """A folder as standard input is told in words."""
    descriptor = os.open(str(tmp_path), os.O_RDONLY)
    with pytest.raises(sources.UnreadableInput, match="can't be read: Is a directory"):
        await collect(sources.once([Line(1, b"-")], descriptor, Stop(1)))
    os.close(descriptor)


async def take(batches: AsyncIterator[list[Line]], stop: Stop, count: int) -> list[bytes | None]:
    """The first `count` contents, then a signal; the source must end by itself."""
    contents: list[bytes | None] = []
    async for batch in batches:
        contents += [line.content for line in batch]
        if len(contents) == count:
            stop.ask(signal.SIGTERM)
    return contents


async def test_forever_repeats_the_texts() -> None:
    """The texts come in turn until a signal."""
    stop = Stop(1)
    contents = await take(sources.forever([Line(1, b"a"), Line(2, b"b")], 0, stop), stop, 5)
    assert contents == [b"a", b"b", b"a", b"b", b"a"]


async def test_forever_counts_the_default_texts() -> None:
    """Without texts the default ones come, each with its number."""
    stop = Stop(1)
    contents = await take(sources.forever([], 0, stop), stop, 4)
    assert contents[0] == b"Hello from Ferry (message 1)"
    assert contents[3] == b"Hello from Ferry (message 4)"
    assert len(set(contents)) == 4


def test_the_default_texts_are_messages() -> None:
    """Every default text is valid."""
    assert [sources.message_from(line.content).text for line in sources.default_lines()] == list(sources.DEFAULT_TEXTS)
