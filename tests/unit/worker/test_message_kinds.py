"""Which types a route's `message` can be: each is checked by producer and consumer, and built by the worker."""

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from types import SimpleNamespace
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pydantic.dataclasses
import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, RootModel, Tag, computed_field
from typing_extensions import TypeAliasType, TypedDict

from ferry_producer.messages import InvalidText, value_of_route
from ferry_shared.errors import ConfigurationError
from ferry_shared.message import Message
from ferry_shared.routes import Route
from ferry_worker.testing import Done, Invalid, Retried, run_message
from tests.support.shop_app import TASK, app_with

ItemT = TypeVar("ItemT")


class Order(BaseModel):
    """A model, with what models have: an alias, a nested one, a field that is computed."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(alias="order-number")
    day: date | None = None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def double(self) -> int:
        """Not a part of the message."""
        return 2 * self.number


class Page(BaseModel, Generic[ItemT]):
    """A generic model."""

    items: list[ItemT]


class Orders(RootModel[list[Order]]):
    """A root model."""


class Paid(BaseModel):
    """One of a union."""

    type: Literal["paid"]
    cents: int


class Refunded(BaseModel):
    """Another."""

    type: Literal["refunded", "given-back"]
    reason: str


class Colour(StrEnum):
    """An enumeration as the tag: pydantic finds only those that are text."""

    RED = "red"
    BLUE = "blue"


class Red(BaseModel):
    """One of a union by an enumeration."""

    type: Literal[Colour.RED]


class Blue(BaseModel):
    """Another."""

    type: Literal[Colour.BLUE]
    depth: int


@dataclass(frozen=True)
class Point:
    """A dataclass of the standard library."""

    x: int
    y: int = 0


@pydantic.dataclasses.dataclass
class Circle:
    """A dataclass of pydantic's, with one inside, and a tag."""

    type: Literal["circle"]
    centre: Point
    radius: Annotated[float, Field(gt=0)]


@dataclass
class Square:
    """A dataclass with a tag."""

    type: Literal["square"]
    side: int


class Visit(TypedDict, total=False):
    """A TypedDict; its values stay dictionaries."""

    page: str
    seconds: int


class Opened(TypedDict):
    """A TypedDict with a tag."""

    type: Literal["opened"]
    at: datetime


class Closed(TypedDict):
    """Another."""

    type: Literal["closed"]


class Place(NamedTuple):
    """A named tuple: a JSON array, or an object."""

    row: int
    seat: int = 1


class Greeting(Message):
    """Ferry's own message with a field more; `id` and `sent_at` come from the record where they are missing."""

    language: str = "en"


def tag_of(value: Any) -> str:
    """Tell the two apart by something else than a field of both; of what was read, or of what is to be written."""
    return "paid" if isinstance(value, Paid) or (isinstance(value, dict) and "cents" in value) else "other"


Payment = Annotated[Paid | Refunded, Field(discriminator="type")]
Shape = Annotated[Circle | Square, Field(discriminator="type")]


@dataclass(frozen=True)
class Kind:
    """A type, a value that fits with what the task gets, and one that doesn't with what the dead letter says."""

    message: Any
    value: str
    arrives: Any
    unfit: str
    error: str


MISSING = "Field required"
TAG = "The tag is none of the union's"
KINDS = {
    "model": Kind(
        Order,
        '{"order-number": 7, "day": "2026-02-01"}',
        Order.model_validate({"order-number": 7, "day": date(2026, 2, 1)}),
        "{}",
        MISSING,
    ),
    "generic model": Kind(Page[int], '{"items": [1]}', Page[int](items=[1]), '{"items": ["a"]}', "valid integer"),
    "root model": Kind(
        Orders, '[{"order-number": 7}]', Orders.model_validate([{"order-number": 7}]), "{}", "valid array"
    ),
    "Ferry's message": Kind(
        Greeting,
        '{"text": "hi", "id": "1", "sent_at": "2026-02-01T00:00:00Z", "language": "de"}',
        Greeting(text="hi", id="1", sent_at=datetime(2026, 2, 1, tzinfo=UTC), language="de"),
        '{"language": "de"}',
        MISSING,
    ),
    "dataclass": Kind(Point, '{"x": 1}', Point(1), '{"y": 1}', MISSING),
    "pydantic dataclass": Kind(
        Circle,
        '{"type": "circle", "centre": {"x": 1}, "radius": 0.5}',
        Circle("circle", Point(1), 0.5),
        '{"type": "circle", "centre": {"x": 1}, "radius": 0}',
        "greater than 0",
    ),
    "TypedDict": Kind(Visit, '{"page": "/"}', {"page": "/"}, '{"seconds": "a"}', "valid integer"),
    "NamedTuple": Kind(Place, "[3, 4]", Place(3, 4), "[]", MISSING),
    "NamedTuple from an object": Kind(Place, '{"row": 3}', Place(3), '{"seat": 3}', MISSING),
    "union by a field": Kind(
        Payment, '{"type": "given-back", "reason": "x"}', Refunded(type="given-back", reason="x"), '{"type": "a"}', TAG
    ),
    "union by an enumeration": Kind(
        Annotated[Red | Blue, Field(discriminator="type")],
        '{"type": "blue", "depth": 2}',
        Blue(type=Colour.BLUE, depth=2),
        '{"type": "green"}',
        TAG,
    ),
    "union by a function": Kind(
        Annotated[Annotated[Paid, Tag("paid")] | Annotated[Point, Tag("other")], Discriminator(tag_of)],
        '{"x": 2}',
        Point(2),
        '{"cents": 1}',
        MISSING,
    ),
    "union of dataclasses": Kind(Shape, '{"type": "square", "side": 3}', Square("square", 3), '{"side": 3}', "tag"),
    "union of TypedDicts": Kind(
        Annotated[Opened | Closed, Field(discriminator="type")],
        '{"type": "opened", "at": "2026-02-01T00:00:00Z"}',
        {"type": "opened", "at": datetime(2026, 2, 1, tzinfo=UTC)},
        '{"type": "ajar"}',
        TAG,
    ),
    "union of unions": Kind(Payment | Shape, '{"type": "square", "side": 3}', Square("square", 3), "{}", "tag"),
    "union without a tag": Kind(Paid | Visit, '{"page": "/"}', {"page": "/"}, '"text"', "an object"),
    "nothing or something": Kind(Point | None, "null", None, "1", "an object"),
    "list": Kind(list[Point], '[{"x": 1}]', [Point(1)], '[{"x": 1}, {}]', MISSING),
    "dictionary": Kind(dict[str, int], '{"a": 1}', {"a": 1}, '{"a": "x"}', "valid integer"),
    "tuple": Kind(tuple[int, str], '[1, "a"]', (1, "a"), "[1]", MISSING),
    "number with a limit": Kind(Annotated[int, Field(gt=0)], "7", 7, "0", "greater than 0"),
    "text": Kind(str, '"a"', "a", "1", "valid string"),
    "decimal": Kind(Decimal, '"1.10"', Decimal("1.10"), '"a"', "valid decimal"),
    "UUID": Kind(UUID, f'"{UUID(int=7)}"', UUID(int=7), '"a"', "valid UUID"),
    "enumeration": Kind(Colour, '"red"', Colour.RED, '"green"', "'red' or 'blue'"),
    "named type": Kind(TypeAliasType("Numbers", list[int]), "[1]", [1], '["a"]', "valid integer"),
    "any JSON": Kind(JsonValue, '{"a": [1, null]}', {"a": [1, None]}, "{a}", "not-json"),
    "anything": Kind(Any, '{"a": 18446744073709551617}', {"a": 2**64 + 1}, "{a}", "not-json"),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def app_for(kind: Kind, replacement: Any = None) -> Any:
    """An app whose task gets the route's type; with a `replacement` it first asks for a retry with that."""

    def handle(self: Any, message: Any) -> None:
        if replacement is not None and self.request.retries == 0:
            self.retry(args=(replacement.value,))

    handle.__annotations__["message"] = kind.message
    return app_with(handle, bind=True)


@each_kind
def test_the_task_gets_what_the_route_names(kind: Kind) -> None:
    """Built from the record's value, of the very type."""
    outcome = run_message([Route("topic", kind.message, TASK)], "topic", kind.value, app=app_for(kind))
    assert isinstance(outcome, Done), outcome
    assert outcome.message == kind.arrives
    assert type(outcome.message) is type(kind.arrives)


@each_kind
def test_what_does_not_fit_becomes_a_dead_letter(kind: Kind) -> None:
    """The consumer says why."""
    outcome = run_message([Route("topic", kind.message, TASK)], "topic", kind.unfit, app=app_for(kind))
    assert isinstance(outcome, Invalid), outcome
    assert kind.error in outcome.error


@each_kind
def test_the_producer_checks_the_same(kind: Kind) -> None:
    """It sends the value unchanged, or refuses it."""
    adapter = Route("topic", kind.message, TASK).adapter
    assert value_of_route(kind.value.encode(), adapter) == kind.value.encode()
    with pytest.raises(InvalidText):
        value_of_route(kind.unfit.encode(), adapter)


@each_kind
def test_a_retry_can_change_it(kind: Kind) -> None:
    """`self.retry(args=(message,))`: the next attempt gets an equal one."""
    app = app_for(kind, SimpleNamespace(value=kind.arrives))
    first = run_message([Route("topic", kind.message, TASK)], "topic", kind.value, app=app)
    assert isinstance(first, Retried), first
    second = first.run_again()
    assert isinstance(second, Done), second
    assert second.message == kind.arrives
    assert type(second.message) is type(kind.arrives)


def test_each_of_a_union_arrives_as_itself() -> None:
    """By the field `type`, whatever the order in the union."""
    kind = KINDS["union by a field"]
    for message in (Paid(type="paid", cents=1), Refunded(type="refunded", reason="x")):
        value = message.model_dump_json()
        outcome = run_message([Route("topic", kind.message, TASK)], "topic", value, app=app_for(kind))
        assert isinstance(outcome, Done)
        assert outcome.message == message


class Plain:
    """Nothing that pydantic knows."""


@pytest.mark.parametrize("message", [Plain, "Missing", dataclasses.make_dataclass("Own", [("plain", Plain)])])
def test_what_pydantic_does_not_know_is_refused_in_a_sentence(message: Any) -> None:
    """At the start of the consumer, by the route's topic; pydantic's advice on its own configuration is left out."""
    with pytest.raises(ConfigurationError, match=r"the message type of the route for topic can't be used: ") as refused:
        _ = Route("topic", message, TASK).adapter
    assert len(str(refused.value).splitlines()) == 1


def test_the_values_are_json() -> None:
    """Those that the table calls fitting."""
    for kind in KINDS.values():
        json.loads(kind.value)
