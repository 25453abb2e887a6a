"""Validators that stop at the first wrong item: they take what pydantic takes, and what they allocate is bounded."""

import json
import subprocess
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, Json, JsonValue, RootModel, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from ferry_shared.validation import MAX_PROBLEMS_READ, adapter_of, problems_of

ItemT = TypeVar("ItemT")
MEGABYTE = 1_000_000


class Page(BaseModel, Generic[ItemT]):
    """A generic model."""

    items: list[ItemT]


class Numbers(RootModel[list[int]]):
    """A root model."""


class Deferred(BaseModel):
    """A model that pydantic builds when it is needed."""

    model_config = ConfigDict(defer_build=True)

    items: list[int]


class Tree(BaseModel):
    """A model that refers to itself."""

    values: dict[str, int] = {}
    below: list["Tree"] = []


class Closed(BaseModel):
    """A model that takes no unknown member."""

    model_config = ConfigDict(extra="forbid")


@dataclass
class Bag:
    """A dataclass."""

    items: set[int]


WRONG: list[object] = [{}] * 50


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[int], WRONG),
        (set[int], WRONG),
        (frozenset[int], WRONG),
        (tuple[int, ...], WRONG),
        (deque[int], WRONG),
        (Sequence[int], WRONG),
        (dict[str, int], {str(number): {} for number in range(50)}),
        (Mapping[str, int], {str(number): {} for number in range(50)}),
        (OrderedDict[str, int], {str(number): {} for number in range(50)}),
        (Counter[str], {str(number): {} for number in range(50)}),
        (Json[list[int]], json.dumps(WRONG)),
        (Page[int], {"items": WRONG}),
        (list[Page[int]], [{"items": WRONG}] * 50),
        (Numbers, WRONG),
        (Deferred, {"items": WRONG}),
        (Tree, {"below": [{"below": [{"values": {"a": {}, "b": {}}}] * 50}] * 50}),
        (Bag, {"items": WRONG}),
    ],
    ids=lambda part: str(part)[:40],
)
def test_the_first_wrong_item_ends_it(annotation: Any, value: Any) -> None:
    """Wherever the list or dictionary is: in models, in models of a list, behind a reference."""
    with pytest.raises(ValidationError) as caught:
        adapter_of(annotation).validate_json(json.dumps(value))
    assert caught.value.error_count() == 1


def test_a_models_fields_are_all_told() -> None:
    """They are as many as the model has, so there is no need to stop."""

    class Order(BaseModel):
        number: int
        note: str

    with pytest.raises(ValidationError) as caught:
        adapter_of(Order).validate_json("{}")
    assert problems_of(caught.value) == "number: Field required; note: Field required"


def test_the_tag_of_a_union_is_not_quoted() -> None:
    """It is a value like any other, and values are left out."""

    class Circle(BaseModel):
        kind: Literal["circle"]

    class Square(BaseModel):
        kind: Literal["square"]

    shape: Any = Annotated[Circle | Square, Field(discriminator="kind")]
    with pytest.raises(ValidationError) as caught:
        adapter_of(shape).validate_json('{"kind": "4111-1111"}')
    assert problems_of(caught.value) == "The tag is none of the union's"


class Everything(BaseModel):
    """Some of each."""

    model_config = ConfigDict(extra="allow")

    lists: list[int | str] = []
    sets: set[int] = set()
    words: dict[str, list[float]] = {}
    either: list[int] | dict[str, int] | None = None
    below: "list[Everything]" = []
    rest: JsonValue = None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["1", "x", ""]) | st.floats(-1, 1),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["lists", "sets", "words", "either", "below", "rest", "other"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_it_takes_what_pydantic_takes_and_makes_the_same_of_it(value: Any) -> None:
    """Stopping early changes what is told, never what is decided."""
    text = json.dumps(value)
    try:
        expected = TypeAdapter(Everything).validate_json(text)
    except ValidationError:
        with pytest.raises(ValidationError):
            adapter_of(Everything).validate_json(text)
    else:
        assert adapter_of(Everything).validate_json(text) == expected


def test_a_default_that_looks_like_a_schema_is_left_alone() -> None:
    """A user's own data is no part of the schema."""

    class Odd(BaseModel):
        shape: dict[str, str] = {"type": "list"}

    assert adapter_of(Odd).validate_json("{}").shape == {"type": "list"}


#: Words of pydantic's own schemas, as names of a user's.
SCHEMA_WORDS = ["type", "default", "metadata", "members", "expected", "config", "serialization", "fields", "choices"]


@pytest.mark.parametrize("name", [*SCHEMA_WORDS, "custom_error_context", "schema", "list"])
def test_a_field_may_have_any_name(name: str) -> None:
    """Also one that means something in a schema: it is validated like any other, up to the first wrong item."""
    fields = TypedDict("fields", {name: list[int]})  # type: ignore[misc]  # the name is what is tested
    adapter = adapter_of(list[fields])
    assert adapter.validate_json(json.dumps([{name: [1]}])) == [{name: [1]}]
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(json.dumps([{name: WRONG}]))
    assert problems_of(caught.value) == f"0.{name}.0: Input should be a valid integer"


@pytest.mark.parametrize("tag", [*SCHEMA_WORDS, "list", "union"])
def test_a_union_by_its_type_may_have_any_tag(tag: str) -> None:
    """The field that tells the type is usually named `type`; its values can be a schema's words, too."""

    class One(TypedDict):
        type: Literal[tag]  # type: ignore[valid-type]  # the tag is what is tested
        items: list[int]

    class Other(TypedDict):
        type: Literal["another one"]

    adapter = adapter_of(Annotated[One | Other, Field(discriminator="type")])
    assert adapter.validate_json(json.dumps({"type": tag, "items": [1]})) == {"type": tag, "items": [1]}
    assert adapter.validate_json('{"type": "another one"}') == {"type": "another one"}
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(json.dumps({"type": tag, "items": WRONG}))
    assert problems_of(caught.value) == f"{tag}.items.0: Input should be a valid integer"


def test_a_flood_of_problems_is_only_counted() -> None:
    """A model that forbids unknown members tells each of them; reading those out would take seconds."""
    flood = json.dumps({str(number): 0 for number in range(MAX_PROBLEMS_READ + 1)})
    with pytest.raises(ValidationError) as caught:
        adapter_of(Closed).validate_json(flood)
    assert problems_of(caught.value) == f"{MAX_PROBLEMS_READ + 1} problems"


#: Prints by how many megabytes the process grew at its highest, over what it had before.
_MEASURE = """
import sys
from pydantic import BaseModel, ConfigDict, ValidationError
from ferry_shared.validation import adapter_of
def closed(number):
    fields = {"__annotations__": {f"n{number}": int}, f"n{number}": 0, "model_config": ConfigDict(extra="forbid")}
    return type(f"Closed{number}", (BaseModel,), fields)
annotation = eval(sys.argv[1], {"Closed": closed})
def value():
    if sys.argv[2] == "members":
        return b"{" + b",".join(b'"%x":0' % number for number in range(110_000)) + b"}"
    return b"[" + b",".join([sys.argv[2].encode()] * (1_048_000 // (len(sys.argv[2]) + 1))) + b"]"
def highest_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
text, adapter = value(), adapter_of(annotation)
open("/proc/self/clear_refs", "w").write("5")
before = highest_kb()
try:
    adapter.validate_json(text)
except ValidationError:
    print((highest_kb() - before) // 1024)
"""


@pytest.mark.parametrize(
    ("annotation", "item", "most_megabytes"),
    [
        ("list[int]", "{}", 40),
        ("list[str]", "1", 40),
        ("list[int | float | bool | list[int]]", '""', 40),
        ("dict[str, str]", "members", 20),
        ("Closed(1)", "members", 80),
        ("Closed(1) | Closed(2) | Closed(3) | Closed(4)", "members", 240),
    ],
)
def test_a_flood_of_wrong_items_takes_little_memory(annotation: str, item: str, most_megabytes: int) -> None:
    """1 MB of them; pydantic alone takes 120 to 570 MB for the lists (measured in the same way: 11 to 110 MB)."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, annotation, item], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) <= most_megabytes
