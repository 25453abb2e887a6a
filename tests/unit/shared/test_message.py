"""The built-in message: what a foreign producer must send, what is filled in, what is kept."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ferry_shared.message import MAX_ID_CHARACTERS, MAX_TEXT_CHARACTERS, Message
from ferry_shared.record import Origin, TaskId

ORIGIN = Origin(TaskId("ferry", "messages", 0, 4711, 4711), 1_800_000_000_123)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=10,
)


def test_text_is_all_that_is_needed() -> None:
    """A message with only a text gets an id of its own and the present time."""
    before = datetime.now(UTC)
    message, other = Message.model_validate_json('{"text": "hello"}'), Message(text="hello")

    assert message.text == "hello"
    assert before <= message.sent_at <= datetime.now(UTC)
    assert message.id != other.id


def test_the_record_fills_what_is_missing() -> None:
    """In the worker the task id and the record's timestamp stand in for `id` and `sent_at`."""
    message = Message.model_validate_json('{"text": "hello"}', context=ORIGIN)

    assert message.id == "messages-0-4711"
    assert message.sent_at == datetime(2027, 1, 15, 8, 0, 0, 123_000, tzinfo=UTC)


def test_what_is_there_is_kept() -> None:
    """The record fills only what the message doesn't say itself."""
    text = '{"text": "hello", "id": "mine", "sent_at": "2026-01-31T12:00:00+02:00"}'
    message = Message.model_validate_json(text, context=ORIGIN)

    assert (message.id, message.sent_at) == ("mine", datetime(2026, 1, 31, 10, tzinfo=UTC))
    assert message.sent_at.utcoffset() == timedelta(hours=2)


def test_another_context_fills_nothing() -> None:
    """A context that isn't a record's origin is left alone."""
    assert Message.model_validate({"text": "hello"}, context={"id": "no"}).id != "no"


def test_the_longest_task_id_is_a_message_id() -> None:
    """Whatever topic and group are called, the worker can put the task id in place of a missing id."""
    task_id = TaskId("g" * 200, "t" * 249, 2**31 - 1, 2**63 - 2, 2**63 - 1)

    assert Message.model_validate({"text": "x"}, context=Origin(task_id, None)).id == task_id.text


@given(st.dictionaries(st.text().filter(lambda name: name not in {"text", "id", "sent_at"}), JSON_VALUES, max_size=4))
def test_unknown_fields_are_kept(fields: dict[str, Any]) -> None:
    """What a later or foreign producer adds comes out again as it was, integers of any size with every digit."""
    sent = json.dumps({"text": "hello"} | fields)
    message = Message.model_validate_json(sent)
    received = json.loads(message.model_dump_json())

    assert {name: value for name, value in received.items() if name in fields} == fields


def test_big_integers_are_kept() -> None:
    """An integer beyond 64 bits is not rounded."""
    message = Message.model_validate_json('{"text": "x", "n": 123456789012345678901234567890}')

    assert message.model_dump()["n"] == 123456789012345678901234567890
    assert '"n":123456789012345678901234567890' in message.model_dump_json()


@pytest.mark.parametrize("length", [1, MAX_TEXT_CHARACTERS])
def test_texts_of_any_allowed_length(length: int) -> None:
    """A text has 1 to 65,536 characters, counted as characters and not as bytes."""
    assert Message(text="\U0001f600" * length).text == "\U0001f600" * length


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"text": ""}, {"text": "x" * (MAX_TEXT_CHARACTERS + 1)}, {"text": None}, {"text": 1}, {"text": ["x"]},
        {"text": "x", "id": ""}, {"text": "x", "id": None}, {"text": "x", "id": 7},
        {"text": "x", "id": "i" * (MAX_ID_CHARACTERS + 1)}, {"text": "x", "sent_at": None},
        {"text": "x", "sent_at": "yesterday"}, {"text": "x", "sent_at": "2026-01-31T12:00:00"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("context", [None, ORIGIN], ids=["consumer", "worker"])
def test_wrong_messages(fields: dict[str, Any], context: Origin | None) -> None:
    """What doesn't fit is refused by consumer and worker alike."""
    with pytest.raises(ValidationError):
        Message.model_validate(fields, context=context)


@pytest.mark.parametrize("text", ["null", "[]", '"text"', "7", "[[]]"])
@pytest.mark.parametrize("context", [None, ORIGIN], ids=["consumer", "worker"])
def test_json_that_is_no_object(text: str, context: Origin | None) -> None:
    """A message is a JSON object."""
    with pytest.raises(ValidationError):
        Message.model_validate_json(text, context=context)


@given(st.text(min_size=1), st.text(min_size=1, max_size=MAX_ID_CHARACTERS), st.datetimes(timezones=st.just(UTC)))
def test_a_message_survives_its_way(text: str, message_id: str, sent_at: datetime) -> None:
    """What the producer writes is what the worker reads."""
    message = Message(text=text, id=message_id, sent_at=sent_at)

    assert Message.model_validate_json(message.model_dump_json(), context=ORIGIN) == message
