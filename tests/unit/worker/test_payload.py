"""The message parameter: found by annotation, decoded without loss, encoded again."""

import contextlib
import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from ferry_shared.errors import ConfigurationError
from ferry_shared.message import Message
from ferry_shared.record import Origin, TaskId
from ferry_worker.payload import InvalidPayload, MessageParameter

ORIGIN = Origin(TaskId("ferry", "orders", 0, 7, 7), 1_700_000_000_000)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["__type__", "__value__", "n"]) | st.text(st.characters(codec="utf-8")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


class Order(BaseModel):
    """A message."""

    number: int


def unannotated(message, extra=1):  # type: ignore[no-untyped-def]  # its missing annotation is what is tested
    """Take anything."""


def anything(message: Any) -> None:
    """Take anything, said so."""


@pytest.mark.parametrize("function", [unannotated, anything, lambda *messages: None, lambda: None])
@given(value=json_values)
def test_without_a_type_the_value_is_plain_and_exact(function: Callable[..., Any], value: Any) -> None:
    """Integers of any size, floats, and keys that kombu would interpret arrive as they were sent."""
    parameter = MessageParameter.of(function)
    decoded = parameter.decode(json.dumps(value), ORIGIN)
    assert decoded == value
    assert json.dumps(decoded) == json.dumps(value)


@given(value=json_values)
def test_encoding_is_the_inverse(value: Any) -> None:
    """What retry stores of a value decodes to that value."""
    parameter = MessageParameter.of(anything)
    assert parameter.decode(parameter.encode(value), ORIGIN) == value


@given(payload=st.text())
def test_any_text_is_decoded_or_refused(payload: str) -> None:
    """No text makes decoding raise anything else than InvalidPayload."""
    with contextlib.suppress(InvalidPayload):
        assert repr(MessageParameter.of(anything).decode(payload, ORIGIN)) == repr(json.loads(payload))


def test_a_model_is_built() -> None:
    """The annotation's type is what the function gets."""

    def handle(order: Order) -> None: ...

    assert MessageParameter.of(handle).decode('{"number": 5}', ORIGIN) == Order(number=5)


def test_a_message_takes_what_is_missing_from_its_record() -> None:
    """The built-in message gets the task id and the record's timestamp where it has none of its own."""

    def handle(message: Message) -> None: ...

    message = MessageParameter.of(handle).decode('{"text": "hello"}', ORIGIN)
    assert (message.id, message.sent_at) == ("orders-0-7", datetime.fromtimestamp(1_700_000_000, UTC))


def test_a_quoted_annotation_is_resolved() -> None:
    """`from __future__ import annotations` makes every annotation a text."""

    def handle(order: "Order | None") -> None: ...

    assert MessageParameter.of(handle).decode("null", ORIGIN) is None


def test_constraints_beside_the_type_count() -> None:
    """`Annotated` keeps what pydantic needs to check."""

    def handle(number: Annotated[int, Field(gt=5)]) -> None: ...

    with pytest.raises(InvalidPayload, match="greater than 5"):
        MessageParameter.of(handle).decode("5", ORIGIN)


def test_a_decorated_function_is_seen_through() -> None:
    """A decorator made with functools.wraps doesn't hide the annotation."""

    def handle(order: Order) -> None: ...

    @functools.wraps(handle)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        handle(*args, **kwargs)

    parameter = MessageParameter.of(wrapper)
    assert (parameter.name, parameter.decode('{"number": 5}', ORIGIN)) == ("order", Order(number=5))


def test_a_bound_function_has_its_message_second() -> None:
    """With `bind=True` the task itself is the first parameter."""

    class Task:
        def run(self, order: Order) -> None: ...

    assert MessageParameter.of(Task().run).decode('{"number": 5}', ORIGIN) == Order(number=5)


def test_a_bound_and_decorated_function_has_its_message_second() -> None:
    """A user's decorator doesn't bring `self` back."""

    def decorated(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            function(*args, **kwargs)

        return wrapper

    class Task:
        @decorated
        def run(self, order: Order) -> None: ...

    parameter = MessageParameter.of(Task().run)
    assert (parameter.name, parameter.decode('{"number": 5}', ORIGIN)) == ("order", Order(number=5))


@pytest.mark.parametrize("annotation", ["Missing", "1 + 'x'"])
def test_an_annotation_that_can_not_be_used_is_told(annotation: str) -> None:
    """The function and its parameter are named."""

    def handle(order: Any) -> None: ...

    handle.__annotations__["order"] = annotation
    with pytest.raises(ConfigurationError, match=r"handle: the type of 'order' can't be used"):
        MessageParameter.of(handle)


def test_problems_are_named_without_values() -> None:
    """The places of the first problems are told, and never what was there."""

    class Numbers(BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int
        f: int
        g: int

    def handle(numbers: Numbers) -> None: ...

    handle.__annotations__["numbers"] = Numbers
    payload = json.dumps({name: f"secret {name}" for name in "abcdefg"})
    with pytest.raises(InvalidPayload) as raised:
        MessageParameter.of(handle).decode(payload, ORIGIN)
    assert str(raised.value).startswith("a: Input should be a valid integer")
    assert str(raised.value).endswith("; and 2 more")
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("payload", [None, 5, b"{}", {"number": 5}])
def test_something_else_than_text_is_refused(payload: Any) -> None:
    """A message that Ferry's consumer didn't make is not guessed at."""
    with pytest.raises(InvalidPayload, match="expected the record's JSON text"):
        MessageParameter.of(anything).decode(payload, ORIGIN)


def test_a_flood_of_problems_is_told_by_its_first() -> None:
    """A large list of wrong items costs the worker neither seconds nor memory."""

    def take(numbers: list[int]) -> None:
        """Take numbers."""

    flood = "[" + ",".join(["{}"] * 5_000) + "]"
    with pytest.raises(InvalidPayload) as raised:
        MessageParameter.of(take).decode(flood, ORIGIN)
    assert str(raised.value) == "0: Input should be a valid integer"
