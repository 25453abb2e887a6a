"""What a text or line becomes: the value of a Kafka record, checked before it is sent."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from ferry_producer.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES
from ferry_shared.decode import check
from ferry_shared.errors import FerryError, InvalidRecord
from ferry_shared.message import Message, MessageId, Text
from ferry_shared.validation import problems_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_shared.validation import MessageAdapter


class InvalidText(FerryError):
    """A text or line that can't become a message. It says what is wrong, without repeating the text."""


class _Given(BaseModel):
    """What a `Message` checks of a JSON object, in a third of the time: nothing is filled in, nothing else is kept."""

    text: Text
    id: MessageId = ""
    sent_at: AwareDatetime = datetime.min.replace(tzinfo=UTC)


# `model_validate_json` calls it, and takes half as long again.
_given = _Given.__pydantic_validator__.validate_json
# All that is to be checked of an object without an id and a time.
_check_text = TypeAdapter(Text).validator.validate_python
#: What pydantic's parser (jiter) reads at most and orjson doesn't mind: nested arrays and objects, digits of a number.
_MAX_DEPTH, _MAX_DIGITS = 200, 4_300
_ID_BYTES = 16
#: A call for random bytes costs as much as the rest of an id.
_IDS_AT_ONCE = 256


def message_from(content: bytes) -> Message:
    """Make one text or line a message: a JSON object is the message itself, anything else is its `text`.

    Integers of any size stay as they are; `id` and `sent_at` are added when missing; unknown fields are kept.

    Raises:
        InvalidText: it is neither, or the message breaks the schema.
    """
    try:
        if _is_json_object(content):
            return Message.model_validate_json(content)
        return Message.model_validate({"text": content.decode()})
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start + 1}"
    except ValidationError as error:
        problem = problems_of(error)
    raise InvalidText(problem)


def built_in_value(content: bytes) -> bytes:
    """The value of `message_from(content)`: a JSON object as it is given, with what is missing at its end.

    Raises:
        InvalidText: as `message_from` has it.
    """
    try:
        if content.startswith(b"{") or content.lstrip().startswith(b"{"):
            return _value_of_object(content)
        return b'{"text":' + orjson.dumps(_check_text(content.decode())) + next(_stamps)
    except (orjson.JSONDecodeError, UnicodeDecodeError, ValidationError):
        return message_from(content).model_dump_json().encode()


def _value_of_object(content: bytes) -> bytes:
    given = orjson.loads(content)
    # An object with a text isn't empty, so a comma is due.
    if "id" not in given and "sent_at" not in given and not _may_be_refused(content):
        _check_text(given.get("text"))
        return content.rstrip()[:-1] + next(_stamps)
    names = _given(content).model_fields_set
    if "id" not in names:
        content = b'%b,"id":"%b"}' % (content.rstrip()[:-1], next(_ids))
    if "sent_at" not in names:
        content = b'%b,"sent_at":%b}' % (content.rstrip()[:-1], _time(time.time_ns() // 1_000_000))
    return content


def _may_be_refused(content: bytes) -> bool:
    """Whether pydantic might refuse what orjson reads."""
    # What is shorter than its brackets isn't counted, which takes longer than all the rest.
    return len(content) >= 2 * _MAX_DEPTH and (
        len(content) >= _MAX_DIGITS or content.count(b"[") + content.count(b"{") >= _MAX_DEPTH
    )


def _time(milliseconds: int) -> bytes:
    """So many since 1970, as JSON."""
    return orjson.dumps(datetime.fromtimestamp(milliseconds / 1_000, UTC), option=orjson.OPT_UTC_Z)


def _random_ids() -> Iterator[bytes]:
    """Each of as many random digits as a `Message` gives itself."""
    while True:
        digits = os.urandom(_ID_BYTES * _IDS_AT_ONCE).hex().encode()
        for start in range(0, len(digits), 2 * _ID_BYTES):
            yield digits[start : start + 2 * _ID_BYTES]


def _ids_and_times() -> Iterator[bytes]:
    """Each what an object that has neither gets at its end: an id, and the time when it is asked for."""
    then, end = -1, b""
    for digits in _random_ids():
        # Making a time takes as long as all the rest: those of one millisecond share it.
        now = time.time_ns() // 1_000_000
        if now != then:
            then, end = now, b'","sent_at":%b}' % _time(now)
        yield b',"id":"' + digits + end


_ids = _random_ids()
_stamps = _ids_and_times()


def built_in_line(content: bytes) -> bytes:
    """An argument as a line of a file that means the same message; one that can't be a message stays as it is."""
    if not (b"\n" in content or content.endswith(b"\r") or content.startswith(BYTE_ORDER_MARK)):
        return content
    if _is_json_object(content):
        return content.replace(b"\n", b" ")
    try:
        return orjson.dumps({"text": content.decode()})
    except UnicodeDecodeError:
        return content


def route_line(content: bytes) -> bytes:
    """The same for JSON, which has line feeds between its parts only; what isn't JSON stays as it is."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return content
    return content.replace(b"\n", b" ")


def value_of_route(content: bytes, adapter: MessageAdapter) -> bytes:
    """The content itself, unchanged, if the consumer will accept it.

    Raises:
        InvalidText: it isn't JSON, or the route's model refuses it.
    """
    try:
        return check(content, adapter, MAX_LINE_BYTES)
    except InvalidRecord as error:
        raise InvalidText(error.detail) from None


def checker_of_route(adapter: MessageAdapter) -> Callable[[bytes], bytes]:
    """Return `value_of_route` for one route, made for many contents."""
    # Through the adapter of a model the same call takes a third longer.
    validate = (adapter.validator if isinstance(adapter, TypeAdapter) else adapter).validate_json

    def value_of(content: bytes) -> bytes:
        try:
            # What `check` asks, without keeping the answers.
            orjson.loads(content)
            validate(content)
        except Exception:  # noqa: BLE001 - a user's validator: anything can come out of it
            return value_of_route(content, adapter)
        return content

    return value_of


def _is_json_object(content: bytes) -> bool:
    if not content.lstrip().startswith(b"{"):
        return False
    try:
        # Only orjson refuses all that JSON forbids (NaN, say); pydantic then parses again to keep long integers.
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True
