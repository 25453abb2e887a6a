"""A task's first parameter: the Kafka record's value, as the type that the function's annotation names."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ferry_shared.errors import ConfigurationError, FerryError
from ferry_shared.validation import adapter_of, first_line, problems_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_shared.record import Origin

_POSITIONAL = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})


class InvalidPayload(FerryError):
    """The payload does not fit the task's first parameter. It becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class MessageParameter:
    """The parameter that takes the message; `name` is None when it has none that can be passed by name.

    `takes_list`: it takes a list of messages, and `adapter` is for one of them.
    """

    name: str | None
    adapter: TypeAdapter[Any]
    takes_list: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any], *, takes_list: bool = False) -> MessageParameter:
        """Look at a task's function, once per task.

        Raises:
            ConfigurationError: its annotation can't be resolved, pydantic can't validate it, or it is no list.
        """
        parameter = next(iter(inspect.signature(function).parameters.values()), None)
        if parameter is None or parameter.kind not in _POSITIONAL:
            return cls(None, TypeAdapter(Any), takes_list)
        try:
            annotation = get_type_hints(function, include_extras=True).get(parameter.name, Any)
            if takes_list:
                annotation = _item_of(annotation)
            adapter = adapter_of(annotation)
        except Exception as error:
            # Annotations are a user's code: anything can come out of them.
            raise ConfigurationError(
                f"{function.__module__}.{function.__qualname__}: the type of {parameter.name!r} can't be used: "
                f"{first_line(error)}"
            ) from error
        name = parameter.name if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else None
        return cls(name, adapter, takes_list)

    def decode(self, payload: Any, origin: Origin) -> Any:
        """Build the argument; what isn't annotated is the plain JSON value, integers exact.

        Raises:
            InvalidPayload: naming each place and problem, never the value.
        """
        if not isinstance(payload, str):
            raise InvalidPayload(f"expected the record's JSON text, found {type(payload).__name__}")
        try:
            return self.adapter.validate_json(payload, context=origin)
        except ValidationError as error:
            # Not chained: pydantic's message quotes the value.
            problems = problems_of(error)
        raise InvalidPayload(problems)

    def encode(self, value: Any) -> str:
        """Turn an argument that `self.retry(args=…)` changed back into JSON text. Raises ValueError if it can't be."""
        if self.takes_list:
            if not isinstance(value, list) or len(value) != 1:
                raise ValueError("messages of a list are retried as they came, or one by one")
            (value,) = value
        text = self.adapter.dump_json(value, by_alias=True, round_trip=True, warnings="none")
        return text.decode("utf-8", "surrogatepass")


def _item_of(annotation: Any) -> Any:
    """What is in the list that a task takes; anything, where it doesn't say."""
    if annotation in {Any, list}:
        return Any
    if get_origin(annotation) is list:
        return next(iter(get_args(annotation)), Any)
    raise TypeError("takes_list: expected list[...]")
