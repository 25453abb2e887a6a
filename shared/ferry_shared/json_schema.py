"""A JSON Schema file as a route's message: what the consumer checks records by where there is no class.

First it is asked whether a value is valid: that takes no more memory, whatever came. Where it is wrong is asked of a
second validator, whose unions keep the problems of their branches to themselves (docs/decisions/32_json_schema.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json

from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonschema_rs import Validator

#: Of larger values it isn't told where they are wrong: the library copies the wrong part, in a hundred times its size.
MAX_LOCATED_BYTES = 65_536
#: Stands in the library's sentences wherever they would quote the message.
VALUE = "the value"

#: `uniqueItems` compares some kinds of items each with every other one: so many take less than a second.
MAX_UNIQUE_ITEMS = 1_000

_UNIONS = ("oneOf", "anyOf")
#: What stands in these are values, not schemas; in the others any name leads to a schema.
_VALUES = ("enum", "const", "default", "examples")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
#: These judge by what the branches of a union have seen, which the second validator keeps back.
_UNEVALUATED = '"unevaluated'
_NOWHERE: tuple[tuple[int | str, ...], str] = ((), f"{VALUE} does not fit the schema")
_PLAIN = TypeAdapter[Any](Any)


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The JSON Schema in `file`, as a route's `message`; the task gets the plain JSON value.

    A relative path counts from the working directory; `Path(__file__).with_name("order.schema.json")` lies beside the
    module. The dialect is what the file's `$schema` names, 2020-12 without. `format` is checked. A `$ref` may lead to
    another file, never to a server.
    """

    file: str | Path

    @property
    def adapter(self) -> SchemaAdapter:
        """The validator, from all the files that belong to it; build it once and keep it.

        Raises:
            ConfigurationError: naming the file that is missing or no JSON Schema, or the package that is missing.
        """
        texts: list[str] = []
        path = Path(self.file).absolute()
        try:
            return SchemaAdapter(_validator(path, texts.append, _unchanged), _explainer(path, texts))
        except ImportError as error:
            raise ConfigurationError(f"{self.file}: needs jsonschema-rs: install ferry-kafka[json-schema]") from error
        except ConfigurationError:
            raise
        except Exception as error:
            # The library has several kinds of error, and none in common.
            place = ".".join(map(str, getattr(error, "instance_path", ())))
            problem = f"{place and 'at '}{place and place + ': '}{getattr(error, 'message', error)}"
            raise ConfigurationError(f"{self.file} is no JSON Schema that can be used: {problem}") from error


@dataclass(frozen=True, slots=True)
class SchemaAdapter:
    """Validates as a pydantic adapter does, and raises what one raises. `explainer` is None where nothing is told."""

    validator: Validator
    explainer: Validator | None

    def validate_json(self, data: bytes | str, /) -> Any:
        """Return the plain JSON value, integers exact.

        Raises:
            pydantic.ValidationError: the schema refuses it; it names a place and never a value.
        """
        value = _PLAIN.validate_json(data)
        if self.validator.is_valid(value):
            return value
        place, problem = _NOWHERE if len(data) > MAX_LOCATED_BYTES else self._first_problem(value)
        told = PydanticCustomError("json_schema", "{problem}", {"problem": problem})
        raise ValidationError.from_exception_data("JsonSchema", [InitErrorDetails(type=told, loc=place, input=None)])

    def _first_problem(self, value: Any) -> tuple[tuple[int | str, ...], str]:
        from jsonschema_rs import ValidationError as Problem  # noqa: PLC0415 - an extra

        try:
            if self.explainer is not None:
                self.explainer.validate(value)
        except Problem as problem:
            excluded = getattr(problem.kind, "schema", None)
            inner = excluded.get("not") if isinstance(excluded, dict) else None
            union = f"{VALUE} does not fit {' and '.join(inner)}" if isinstance(inner, dict) else problem.message
            return tuple(problem.instance_path), union
        return _NOWHERE


def _explainer(path: Path, texts: list[str]) -> Validator | None:
    """The same schema with closed unions; None where that would judge otherwise, or a `$ref` leads into a union."""
    if any(_UNEVALUATED in text for text in texts):
        return None
    try:
        return _validator(path, lambda _: None, _with_closed_unions)
    except Exception:  # noqa: BLE001 - the schema itself is sound: it was read before
        return None


def _validator(path: Path, note: Callable[[str], None], changed: Callable[[Any], Any]) -> Validator:
    """Build a validator from the schema in a file, and the files that it refers to, each `changed`."""
    from jsonschema_rs import validator_for  # noqa: PLC0415 - an extra, for those who have such a file

    def schema_in(file: Path) -> Any:
        text = _text(file)
        note(text)
        schema = from_json(text, allow_inf_nan=False)
        if not isinstance(schema, dict | bool):
            raise ValueError(f"expected an object, found a {type(schema).__name__}")  # noqa: TRY004 - as what isn't JSON
        if place := next(_endless_comparisons(schema, ()), None):
            raise ConfigurationError(
                f"{file}: at {'.'.join(place)}: uniqueItems compares each item with every other one: expected maxItems "
                f"beside it, of at most {MAX_UNIQUE_ITEMS}"
            )
        return changed(schema)

    def referred(uri: str) -> Any:
        parts = urlsplit(uri)
        if parts.scheme != "file":
            raise ValueError("a $ref may lead to a file, not to a server")
        return schema_in(Path(unquote(parts.path)))

    return validator_for(schema_in(path), validate_formats=True, mask=VALUE, base_uri=path.as_uri(), retriever=referred)


def _endless_comparisons(part: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where a record within the size limit could keep the consumer for many minutes."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from _endless_comparisons(item, (*place, str(number)))
    if not isinstance(part, dict):
        return
    most = part.get("maxItems")
    if part.get("uniqueItems") is True and not (isinstance(most, int | float) and most <= MAX_UNIQUE_ITEMS):
        yield (*place, "uniqueItems")
    for key, inner in part.items():
        if key in _NAMED and isinstance(inner, dict):
            for name, schema in inner.items():
                yield from _endless_comparisons(schema, (*place, key, name))
        elif key not in _VALUES:
            yield from _endless_comparisons(inner, (*place, key))


def _with_closed_unions(part: Any) -> Any:
    """The same in other words: `not not` asks a union whether, and not why; why grows with its branches and depth.

    What only looks like a union, in an `enum`, is changed as well: then a place is told less well, no answer is wrong.
    """
    if isinstance(part, list):
        return [_with_closed_unions(item) for item in part]
    if not isinstance(part, dict):
        return part
    copy = {key: _with_closed_unions(value) for key, value in part.items()}
    unions = {key: copy.pop(key) for key in _UNIONS if isinstance(copy.get(key), list)}
    return copy | {"allOf": [*copy.get("allOf", ()), {"not": {"not": unions}}]} if unions else copy


def _unchanged(schema: Any) -> Any:
    return schema


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: expected a text file in UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: expected a JSON Schema file: {error.strerror}") from None
