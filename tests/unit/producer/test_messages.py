"""Texts and lines become messages, or say what is wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from pydantic import AfterValidator, BaseModel, Field

from ferry_producer.input import file_input
from ferry_producer.messages import (
    InvalidText,
    built_in_line,
    built_in_value,
    checker_of_route,
    message_from,
    route_line,
    value_of_route,
)
from ferry_producer.stop import Stop
from ferry_shared.json_schema import SchemaAdapter
from ferry_shared.message import MAX_TEXT_CHARACTERS, Message
from ferry_shared.validation import adapter_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ferry_producer.lines import Line
    from ferry_shared.validation import MessageAdapter

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
    message = message_from(text.encode())
    assert message.text == text
    assert message.id
    assert message.sent_at.tzinfo is not None


@given(TEXTS, FIELDS, st.sampled_from(["", " ", "\t"]))
def test_a_json_object_is_the_message(text: str, fields: dict[str, object], space: str) -> None:
    """Unknown fields reach Kafka with their values, integers of any size included."""
    line = space + json.dumps(fields | {"text": text})
    sent = json.loads(message_from(line.encode()).model_dump_json())
    assert sent.pop("id")
    assert sent.pop("sent_at")
    assert sent == fields | {"text": text}


@given(st.integers(min_value=2**63))
def test_integers_beyond_64_bits_stay(number: int) -> None:
    """An order number of thirty digits isn't rounded."""
    sent = message_from(json.dumps({"text": "a", "order": [number, -number]}).encode()).model_dump_json()
    assert json.loads(sent)["order"] == [number, -number]


@given(
    TEXTS, FIELDS, st.sampled_from([(), ("id",), ("sent_at",), ("id", "sent_at")]), st.sampled_from(["", " ", "\r\t "])
)
def test_a_value_is_the_object_as_it_is_given(
    text: str, fields: dict[str, object], given_names: tuple[str, ...], space: str
) -> None:
    """Byte for byte; what is missing stands at its end."""
    own = {"id": "mine", "sent_at": "2026-01-02T03:04:05.678+02:00"}
    members = fields | {"text": text} | {name: own[name] for name in given_names}
    line = (space + json.dumps(members) + space).encode()
    value = built_in_value(line)
    if len(given_names) == len(own):
        assert value == line
    else:
        assert value.startswith(line.rstrip()[:-1] + b",")
    sent = json.loads(value)
    assert sent.keys() == members.keys() | own.keys()
    assert {name: sent[name] for name in members} == members
    assert Message.model_validate_json(value).model_fields_set == sent.keys()


OBJECTS = st.dictionaries(
    st.sampled_from(["text", "id", "sent_at", "more"]), JSON_VALUES | st.just("2026-01-02T03:04:05Z")
)


@given(st.binary(max_size=20) | OBJECTS.map(lambda value: json.dumps(value).encode()) | TEXTS.map(str.encode))
@example(b'{"text": "a", "more": ' + b"[" * 300 + b"]" * 300 + b"}")
@example(b'{"text": "a", "text": "b", "id": 5, "id": "mine"}')
@example(b'{"text": "a", "sent_at": 1e400}')
@example(b'{"text": "a", "more": ' + b"1" * 4_400 + b"e-4390}")
@example(b'{"text": 5, "text": "a"}')
@example(b'{"text": "a", "text": 5}')
@example(b'{"text": "' + b"a" * (MAX_TEXT_CHARACTERS + 1) + b'"}')
def test_a_value_is_that_of_its_message(line: bytes) -> None:
    """What is accepted, what it says and what is wrong with the others is as for a message of its own."""

    def told(message_of: Callable[[bytes], Message]) -> tuple[dict[str, object] | None, str]:
        try:
            message = message_of(line)
        except InvalidText as error:
            return None, str(error)
        given = set(json.loads(line)) if message.text.encode() != line else set()
        return message.model_dump(exclude={"id", "sent_at"} - given), ""

    assert told(lambda line: Message.model_validate_json(built_in_value(line))) == told(message_from)


def test_an_id_of_its_own() -> None:
    """Each value has one, as long as that of a `Message`, whether it was an object or a text."""
    values = [json.loads(built_in_value(line)) for line in [b"a", b'{"text": "a"}'] * 500]
    assert len({value["id"] for value in values}) == len(values)
    assert {len(value["id"]) for value in values} == {len(message_from(b"a").id)}
    assert all(Message.model_validate(value).sent_at.tzinfo for value in values)


@pytest.mark.parametrize("line", [b"a", b'{"text": "a"}', b'{"text": "a", "id": "mine"}'])
def test_the_time_is_the_present_one(line: bytes) -> None:
    """To the millisecond, which lines share; those of a later one have a later time."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    first = Message.model_validate_json(built_in_value(line)).sent_at
    time.sleep(0.002)
    second = Message.model_validate_json(built_in_value(line)).sent_at
    assert before < first < second <= datetime.now(UTC)


class Three(BaseModel):
    """A route's model."""

    number: int
    name: Annotated[str, Field(max_length=3)]
    rest: list[float] = []


def refuse(value: object) -> object:
    """A user's validator; what it raises isn't what pydantic expects."""
    if value == {}:
        raise KeyError("nothing")
    return value


SCHEMA = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
ADAPTERS = [adapter_of(Three), adapter_of(dict[str, int] | list[str]), SchemaAdapter(validator_for(SCHEMA), None)]
ADAPTERS.append(adapter_of(Annotated[Any, AfterValidator(refuse)]))
NEARLY = st.fixed_dictionaries(
    {"number": st.integers() | TEXTS, "name": st.text("ab", max_size=4)}, optional={"rest": JSON_VALUES}
)
LINES = st.binary(max_size=20) | (NEARLY | JSON_VALUES).map(lambda value: json.dumps(value).encode())


def judged(value_of: Callable[[bytes], bytes], line: bytes) -> tuple[bytes | None, str]:
    """The value, or what is wrong with the line."""
    try:
        return value_of(line), ""
    except InvalidText as error:
        return None, str(error)


@given(st.sampled_from(ADAPTERS), LINES | st.sampled_from([b"", b"{}", b"NaN", b"[" * 3000, b'"\\ud800"']))
def test_the_checker_of_a_route_says_what_the_route_says(adapter: MessageAdapter, line: bytes) -> None:
    """The same lines are accepted, unchanged, and the same is wrong with the others."""
    value, problem = judged(partial(value_of_route, adapter=adapter), line)
    assert judged(checker_of_route(adapter), line) == (value, problem)
    assert value == (None if problem else line)


def test_given_id_and_time_stay() -> None:
    """A message that has an id and a time keeps both."""
    message = message_from(b'{"text": "a", "id": "mine", "sent_at": "2026-01-02T03:04:05+02:00"}')
    assert (message.id, message.sent_at.isoformat()) == ("mine", "2026-01-02T03:04:05+02:00")


@pytest.mark.parametrize(
    "line",
    ['"quoted"', "17", "[1, 2]", "{broken", '{"text": "a"} and more', "{'text': 'a'}", '{"text": "a", "x": NaN}'],
)
def test_what_is_no_json_object_is_text(line: str) -> None:
    """Other JSON values, and what only looks like an object, are texts."""
    assert message_from(line.encode()).text == line


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
    ],
)
def test_an_invalid_text_says_what_is_wrong(content: bytes, problem: str) -> None:
    """The reason names the field and what is expected."""
    with pytest.raises(InvalidText) as error:
        message_from(content)
    assert str(error.value) == problem


@given(st.binary(max_size=50))
def test_any_bytes_are_a_message_or_invalid(content: bytes) -> None:
    """No input makes anything else happen; an object with any text is kept or refused as well."""
    for line in (content, b'{"text": "' + content + b'"}'):
        with contextlib.suppress(InvalidText):
            assert json.loads(message_from(line).model_dump_json())["text"]


#: What a line of a file would lose, or be cut by.
TROUBLE = st.lists(st.sampled_from(["\n", "\r", "\ufeff", " ", "{", "}", "a", '"', "{}", '{"text": "b"}']), max_size=8)


def read_back(path: Path, content: bytes) -> list[Line]:
    """The lines of a file that has `content` and a line's end."""
    path.write_bytes(content + b"\n")

    source = file_input(path)

    async def read() -> list[Line]:
        return [line async for batch in source.lines(Stop(1)) for line in batch]

    try:
        return asyncio.run(read())
    finally:
        os.close(source.descriptor)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write and read."""
    return tmp_path_factory.mktemp("lines") / "left"


@given(TROUBLE.map("".join) | TEXTS)
def test_an_argument_is_one_line_of_a_file(file: Path, text: str) -> None:
    """Kept by --undelivered and sent again it is the same message: line feeds in it cut nothing."""
    try:
        expected = message_from(text.encode()).text
    except InvalidText:
        return
    (line,) = read_back(file, built_in_line(text.encode()))
    assert line.content is not None
    assert message_from(line.content).text == expected


@given(JSON_VALUES, st.sampled_from([None, 1]), st.sampled_from(["", "\n", "\r", "\r\n"]))
def test_an_argument_for_a_route_is_one_line_too(file: Path, value: object, indent: int | None, end: str) -> None:
    """Line feeds in JSON are blanks."""
    text = json.dumps(value, indent=indent) + end
    (line,) = read_back(file, route_line(text.encode()))
    assert line.content is not None
    assert json.loads(line.content) == value


@pytest.mark.parametrize("content", [b'{"note": "two\nlines"}', b'"a\nb"', b"a\nb", b'{"a":\n'])
def test_what_is_no_json_does_not_become_it(content: bytes) -> None:
    """A line feed inside a JSON string is an error, which is told; a blank in its place would be another message."""
    assert route_line(content) == content
    with pytest.raises(InvalidText):
        value_of_route(route_line(content), adapter_of(Any))


@pytest.mark.parametrize("content", [b"a", b'{"text": "a"}', b"[1]", b"\xff", b"\xff\n", b" a "])
def test_what_is_one_line_stays_as_it_is(content: bytes) -> None:
    """So does what can't be a message, whose problem is told by its place."""
    assert built_in_line(content) == content
