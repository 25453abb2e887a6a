"""From a record's bytes to the certainty that a task can be made of them. The bytes themselves travel on unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from ferry_shared.errors import InvalidRecord

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_DETAIL_CHARACTERS = 500
MAX_PROBLEMS_TOLD = 5
MAX_PROBLEMS_READ = 1_000


def check(value: bytes | None, adapter: TypeAdapter[Any]) -> bytes:
    """Return the value if it is strict JSON that the route's model accepts.

    orjson judges the JSON: of the parsers tried it alone rejects every invalid document of the public suites (NaN,
    lone surrogates, byte-order marks). pydantic then reads the bytes again, because it keeps integers of any size.

    Raises:
        InvalidRecord: naming the fields that are wrong, never their values.
    """
    if not value:
        raise InvalidRecord("empty", "the record has no value")
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidRecord("not-json", error.msg[:MAX_DETAIL_CHARACTERS]) from None
    try:
        adapter.validate_json(value)
    except ValidationError as error:
        raise InvalidRecord("invalid", _problems(error)) from None
    return value


def _problems(error: ValidationError) -> str:
    if error.error_count() > MAX_PROBLEMS_READ:
        # Reading them all out of pydantic takes seconds for a large list of wrong items.
        return f"{error.error_count()} problems"
    details = error.errors(include_input=False, include_context=False, include_url=False)
    told = [f"{_path(detail['loc'])}{detail['msg']}" for detail in details[:MAX_PROBLEMS_TOLD]]
    if len(details) > MAX_PROBLEMS_TOLD:
        told.append(f"and {len(details) - MAX_PROBLEMS_TOLD} more")
    return "; ".join(told)[:MAX_DETAIL_CHARACTERS]


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"{part}: " for part in [".".join(map(str, location))] if part)
