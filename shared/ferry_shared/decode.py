"""From a record's bytes to the certainty that a task can be made of them. The bytes themselves travel on unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import ValidationError

from ferry_shared.errors import InvalidRecord
from ferry_shared.validation import problems_of

if TYPE_CHECKING:
    from ferry_shared.validation import MessageAdapter

MAX_DETAIL_CHARACTERS = 500


def check(value: bytes | None, adapter: MessageAdapter, max_bytes: int) -> bytes:
    """Return the value if it is strict JSON that the route's model accepts; as `checked`."""
    return checked(value, adapter, max_bytes).value


class Checked(NamedTuple):
    """A record's value that is valid, and what the route's model has made of it."""

    value: bytes
    message: Any


def checked(value: bytes | None, adapter: MessageAdapter, max_bytes: int) -> Checked:
    """Return the value, with what it stands for, if it is strict JSON that the route's model accepts.

    It is measured first: what parsing and validating may allocate grows with its size.
    orjson judges the JSON: of the parsers tried it alone rejects every invalid document of the public suites (NaN,
    lone surrogates, byte-order marks). pydantic then reads the bytes again, because it keeps integers of any size.

    Raises:
        InvalidRecord: naming the fields that are wrong, never their values.
    """
    if not value:
        raise InvalidRecord("empty", "the record has no value")
    if len(value) > max_bytes:
        raise InvalidRecord("too-large", f"{len(value)} bytes, CONSUMER_MAX_RECORD_BYTES is {max_bytes}")
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidRecord("not-json", error.msg[:MAX_DETAIL_CHARACTERS]) from None
    try:
        message = adapter.validate_json(value)
    except ValidationError as error:
        raise InvalidRecord("invalid", problems_of(error)[:MAX_DETAIL_CHARACTERS]) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's validator: anything can come out of it
        raise InvalidRecord("invalid", f"a validator of the model raised {type(error).__name__}") from None
    return Checked(value, message)
