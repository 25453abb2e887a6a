"""What a text or line becomes: the value of a Kafka record, checked before it is sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from ferry_producer.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES
from ferry_shared.decode import check
from ferry_shared.errors import FerryError, InvalidRecord
from ferry_shared.message import MAX_ID_CHARACTERS, Message
from ferry_shared.validation import problems_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_shared.validation import MessageAdapter


class InvalidText(FerryError):
    """A text or line that can't become a message. It says what is wrong, without repeating the text."""


class _Sent(Message):
    """The same message on its way out: an id of as many random digits, made in a fifth of the time of `uuid4`."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)] = Field(
        default_factory=lambda: os.urandom(16).hex()
    )


def message_from(content: bytes) -> Message:
    """Make one text or line a message: a JSON object is the message itself, anything else is its `text`.

    Integers of any size stay as they are; `id` and `sent_at` are added when missing; unknown fields are kept.

    Raises:
        InvalidText: it is neither, or the message breaks the schema.
    """
    return _valid(content, Message)


def built_in_value(content: bytes) -> bytes:
    """The value of `message_from(content)`; raises like it."""
    return _Sent.__pydantic_serializer__.to_json(_valid(content, _Sent))


def _valid(content: bytes, kind: type[Message]) -> Message:
    # `model_validate_json` and `model_dump_json` call validator and serializer, and take half as long again.
    validator = kind.__pydantic_validator__
    try:
        if _is_json_object(content):
            message: Message = validator.validate_json(content)
        else:
            message = validator.validate_python({"text": content.decode()})
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start + 1}"
    except ValidationError as error:
        problem = problems_of(error)
    else:
        return message
    raise InvalidText(problem)


def built_in_line(content: bytes) -> bytes:
    """An argument as a line of a file that means the same message; one that can't be a message stays as it is."""
    if not (b"\n" in content or content.endswith(b"\r") or content.startswith(BYTE_ORDER_MARK)):
        return content
    if _is_json_object(content):
        return route_line(content)
    try:
        return orjson.dumps({"text": content.decode()})
    except UnicodeDecodeError:
        return content


def route_line(content: bytes) -> bytes:
    """The same for JSON, which has line feeds between its parts only."""
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
