"""Validators whose memory is bounded by the message: what is wrong in a list or a dictionary is told once.

pydantic collects an error for every wrong item, about 400 bytes each: half a million in one list of 1 MB
(docs/decisions/21_bounded_validation.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MAX_PROBLEMS_TOLD = 5
#: Reading more of them out of pydantic takes seconds.
MAX_PROBLEMS_READ = 1_000

#: Schemas that have as many errors as their input has items, and the key by which they stop at the first one.
_UNBOUNDED = frozenset({"list", "deque", "tuple", "set", "frozenset", "dict", "frozendict", "ordered-dict", "counter"})
_FAIL_FAST = "fail_fast"
#: What these hold is a user's own data, however much it looks like a schema.
_NO_SCHEMAS = frozenset(
    {"config", "custom_error_context", "default", "expected", "members", "metadata", "serialization"}
)
#: What these hold is a schema for each name, and the names are a user's own: of fields, and of a union's tags.
_BY_NAME = frozenset({"fields", "choices"})


class MessageAdapter(Protocol):
    """What a route's messages are checked by."""

    def validate_json(self, data: bytes | str, /) -> Any:
        """Return what a JSON text stands for. Raises pydantic.ValidationError, and what a user's validator raises."""


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """Return the validator of a type; in its lists and dictionaries it stops at the first wrong item.

    It accepts and refuses what pydantic's own validator of that type does. Raises whatever a user's type raises.
    """
    adapter = TypeAdapter[Any](annotation)
    adapter.rebuild(raise_errors=True)
    # Without prebuilt validators: a model's own one would be used in place of its schema, and stops nowhere.
    adapter.validator = SchemaValidator(_failing_fast(adapter.core_schema), _use_prebuilt=False)
    return adapter


def _failing_fast(schema: Any) -> Any:
    if isinstance(schema, dict):
        copy = {key: _part_failing_fast(key, part) for key, part in schema.items()}
        return copy | {_FAIL_FAST: True} if copy.get("type") in _UNBOUNDED else copy
    if isinstance(schema, list | tuple):
        return type(schema)(map(_failing_fast, schema))
    return schema


def _part_failing_fast(key: str, part: Any) -> Any:
    if key in _NO_SCHEMAS:
        return part
    if key in _BY_NAME and isinstance(part, dict):
        return {name: _failing_fast(schema) for name, schema in part.items()}
    return _failing_fast(part)


def first_line(error: Exception) -> str:
    """What an error about a type says; pydantic's go on with advice and an address for several lines."""
    return (str(error) or type(error).__name__).partition("\n")[0]


def problems_of(error: ValidationError) -> str:
    """Tell the first problems: where and why. The values themselves are left out."""
    if error.error_count() > MAX_PROBLEMS_READ:
        return f"{error.error_count()} problems"
    details = error.errors(include_input=False, include_context=False, include_url=False)
    told = [f"{_place(detail['loc'])}{_message(detail)}" for detail in details[:MAX_PROBLEMS_TOLD]]
    if len(details) > MAX_PROBLEMS_TOLD:
        told.append(f"and {len(details) - MAX_PROBLEMS_TOLD} more")
    return "; ".join(told)


def _message(detail: ErrorDetails) -> str:
    # pydantic's own words quote the tag that came.
    return "The tag is none of the union's" if detail["type"] == "union_tag_invalid" else detail["msg"]


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(f"{part}: " for part in [".".join(map(str, location))] if part)
