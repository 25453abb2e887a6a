"""A JSON Schema file as a route's message: what it takes, what it tells, and what it never does."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ferry_shared.decode import MAX_DETAIL_CHARACTERS, check
from ferry_shared.errors import ConfigurationError, InvalidRecord
from ferry_shared.json_schema import MAX_LOCATED_BYTES, MAX_UNIQUE_ITEMS, JsonSchema, SchemaAdapter
from ferry_shared.routes import Route, load_routes
from ferry_shared.settings import RoutingSettings
from ferry_shared.validation import problems_of

MAX_BYTES = 1_048_588
ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["number"],
    "properties": {
        "number": {"type": "integer", "minimum": 1, "maximum": 10**100},
        "mail": {"type": "string", "format": "email"},
        "items": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
        "paid": {"oneOf": [{"const": "cash"}, {"type": "object", "required": ["card"]}]},
        "note": {"anyOf": [{"type": "string", "pattern": "^[^{}]*$"}, {"type": "null"}]},
    },
}


def adapter_of(schema: object, name: str = "order.schema.json") -> SchemaAdapter:
    """The adapter of a schema in a file of the working directory."""
    Path(name).write_text(schema if isinstance(schema, str) else json.dumps(schema), encoding="utf-8")
    return JsonSchema(name).adapter


def told(adapter: SchemaAdapter, value: object) -> str:
    """What is told of a value that is refused."""
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(value if isinstance(value, bytes) else json.dumps(value))
    return problems_of(caught.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], 'the value is not of type "object"'),
        ({}, '"number" is a required property'),
        ({"number": "4111"}, 'number: the value is not of type "integer"'),
        ({"number": 10**100 + 1}, f"number: the value is greater than the maximum of {10**100}"),
        ({"number": 1, "mail": "hunter2"}, 'mail: the value is not a "email"'),
        ({"number": 1, "items": [{"sku": 1}, {}]}, 'items.1: "sku" is a required property'),
        ({"number": 1, "paid": "hunter2"}, "paid: the value does not fit oneOf"),
        ({"number": 1, "note": "{problem}"}, "note: the value does not fit anyOf"),
    ],
)
def test_a_refusal_names_the_place_and_never_the_value(value: object, problem: str) -> None:
    """In the words of the schema."""
    assert told(adapter_of(ORDER), value) == problem


def test_the_consumers_check_takes_it() -> None:
    """A route with a schema file is checked like one with a class: bytes unchanged, or reason and detail."""
    Path("order.schema.json").write_text(json.dumps(ORDER))
    adapter = Route("orders", JsonSchema("order.schema.json"), "handleOrder").adapter
    value = b'{ "number": 7,"other":[1e5] }'
    assert check(value, adapter, MAX_BYTES) is value
    with pytest.raises(InvalidRecord, match=r'^invalid: number: the value is not of type "integer"$'):
        check(b'{"number": "x"}', adapter, MAX_BYTES)
    with pytest.raises(InvalidRecord, match=r"^invalid: ") as caught:
        check(b"[" * 199 + b"1" + b"]" * 199, adapter_of({"$defs": {}, "items": {"$ref": "#"}, "type": "array"}), 1_000)
    assert len(caught.value.detail) <= MAX_DETAIL_CHARACTERS


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**100), 10**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "items", "sku", "paid", "card", "below", "kind"]), inner)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> SchemaAdapter:
    """The adapter of a schema that takes everything."""
    file = tmp_path_factory.mktemp("schema") / "anything.json"
    file.write_text("true")
    return JsonSchema(file).adapter


@given(value=json_values)
def test_what_is_accepted_comes_back_exactly(anything: SchemaAdapter, value: object) -> None:
    """Integers of a hundred digits, too."""
    text = json.dumps(value)
    assert repr(anything.validate_json(text)) == repr(json.loads(text))


UNIONS: dict[str, Any] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "leaf": {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}], "allOf": [{"not": {"const": 0}}]},
        "node": {
            "oneOf": [
                {"$ref": "#/$defs/leaf"},
                {"type": "array", "items": {"$ref": "#/$defs/node"}},
                {"type": "object", "properties": {"below": {"$ref": "#/$defs/node"}}, "required": ["below"]},
                {"type": "object", "properties": {"kind": {"not": {"oneOf": [{"type": "null"}]}}}},
            ]
        },
    },
}


@pytest.fixture(scope="module")
def unions(tmp_path_factory: pytest.TempPathFactory) -> SchemaAdapter:
    """The adapter of a schema that is full of unions."""
    file = tmp_path_factory.mktemp("schema") / "unions.json"
    file.write_text(json.dumps(UNIONS))
    return JsonSchema(file).adapter


@given(value=json_values)
def test_closed_unions_judge_as_open_ones(unions: SchemaAdapter, value: object) -> None:
    """What tells where a value is wrong finds wrong what is wrong, and nothing else."""
    assert unions.explainer is not None
    assert unions.explainer.is_valid(value) == unions.validator.is_valid(value)


names = st.sampled_from(["number", "below", "oneOf"])
schemas = st.recursive(
    st.sampled_from([True, {}, {"type": "integer"}, {"type": ["object", "null"]}, {"minimum": 1}, {"maxLength": 1}])
    | st.sampled_from([1, "x", None, []]).map(lambda value: {"enum": [value]}),
    lambda inner: (
        st.builds(
            lambda kind, parts, more: {kind: parts} | ({} if more is None else {"allOf": more}),
            st.sampled_from(["oneOf", "anyOf"]),
            st.lists(inner, min_size=1, max_size=3),
            st.none() | st.lists(inner, min_size=1, max_size=2),
        )
        | st.builds(lambda one, any_: {"oneOf": [one], "anyOf": any_}, inner, st.lists(inner, min_size=1, max_size=2))
        | st.builds(lambda kind, part: {kind: part}, st.sampled_from(["not", "items", "contains"]), inner)
        | st.builds(lambda kind, parts: {kind: parts}, st.just("properties"), st.dictionaries(names, inner, max_size=2))
        | st.builds(lambda test, yes, no: {"if": test, "then": yes, "else": no}, inner, inner, inner)
    ),
    max_leaves=8,
)


@given(schema=schemas, values=st.lists(json_values, min_size=1, max_size=4))
def test_closing_the_unions_of_any_schema_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, schema: object, values: list[object]
) -> None:
    """Wherever they are, also where a union's name is a property's."""
    file = tmp_path_factory.getbasetemp() / "schema.json"
    file.write_text(json.dumps(schema))
    adapter = JsonSchema(file).adapter
    assert adapter.explainer is not None
    for value in values:
        assert adapter.explainer.is_valid(value) == adapter.validator.is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/oneOf/0"}}, "oneOf": [{"type": "string"}, {"type": "object"}]},
        {"anyOf": [{"properties": {"a": {"type": "null"}}}], "unevaluatedProperties": False},
    ],
)
def test_where_the_place_would_be_guessed_none_is_told(schema: object) -> None:
    """A reference into a union, and what judges by a union's branches: the answer is right, and short."""
    adapter = adapter_of(schema)
    assert told(adapter, {"a": 1}) == "the value does not fit the schema"
    assert adapter.validate_json("{}") == {}


def test_of_a_large_value_no_place_is_told() -> None:
    """The library copies what is wrong."""
    adapter = adapter_of(ORDER)
    assert told(adapter, {"number": "x" * MAX_LOCATED_BYTES}) == "the value does not fit the schema"
    assert told(adapter, {"number": "x" * (MAX_LOCATED_BYTES - 20)}).startswith("number: ")


@pytest.mark.parametrize(
    ("dialect", "value"),
    [("http://json-schema.org/draft-04/schema#", 1.0), ("http://json-schema.org/draft-07/schema#", "x")],
)
def test_the_dialect_is_the_files(dialect: str, value: object) -> None:
    """In draft 4 `1.0` is no integer, later it is."""
    assert told(adapter_of({"$schema": dialect, "type": "integer"}), value) == 'the value is not of type "integer"'


def test_later_dialects_take_a_whole_float_for_an_integer() -> None:
    """As JSON has one kind of number; the value stays what it was."""
    assert repr(adapter_of({"type": "integer"}).validate_json("1.0")) == "1.0"


def test_a_relative_path_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute one is itself; a `$ref` counts from the file that it stands in."""
    (tmp_path / "orders").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "orders/order.json").write_text('{"properties": {"to": {"$ref": "parts/a%20ddress.json#/$defs/to"}}}')
    (tmp_path / "orders/parts").mkdir()
    (tmp_path / "orders/parts/a ddress.json").write_text('{"$defs": {"to": {"type": "string"}}}')
    assert told(JsonSchema("orders/order.json").adapter, {"to": 1}) == 'to: the value is not of type "string"'
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"orders/order\.json: expected a JSON Schema file: No such file"):
        _ = JsonSchema("orders/order.json").adapter
    assert told(JsonSchema(tmp_path / "orders/order.json").adapter, {"to": 1}).startswith("to: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "EOF while parsing"),
        ("[]", "expected an object, found a list"),
        ('"{}"', "expected an object, found a str"),
        ('{"maximum": NaN}', "expected value"),
        ('{"type": "intger"}', "at type: "),
        ('{"properties": {"a": {"type": 3}}}', "at properties.a.type: "),
        ('{"pattern": "("}', "at pattern: "),
        ('{"$ref": "#/$defs/order"}', r"Pointer '/\$defs/order' does not exist"),
        ('{"$ref": "gone.json"}', "gone.json: expected a JSON Schema file: No such file"),
        ('{"$ref": "https://example.invalid/order.json"}', r"a \$ref may lead to a file, not to a server"),
        ('{"$id": "https://example.invalid/a.json", "$ref": "b.json"}', r"a \$ref may lead to a file, not to a server"),
        ('{"$schema": "https://example.invalid/schema"}', "Unknown meta-schema: 'https://example.invalid/schema'"),
        ('{"not":' * 5_000 + "{}" + "}" * 5_000, "recursion limit exceeded"),
    ],
)
def test_a_file_that_is_no_schema_is_told(text: str, problem: str) -> None:
    """FERRY_ROUTES, the route, the file, and what is wrong."""
    Path("order.schema.json").write_text(text)
    expected = (
        r"^FERRY_ROUTES: the message type of the route for orders can't be used: "
        rf"order\.schema\.json is no JSON Schema that can be used: .*{problem}"
    )
    with pytest.raises(ConfigurationError, match=expected):
        _ = Route("orders", JsonSchema("order.schema.json"), "handleOrder").adapter


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"uniqueItems": True}, "uniqueItems"),
        ({"uniqueItems": True, "maxItems": 1_001}, "uniqueItems"),
        ({"properties": {"skus": {"uniqueItems": True}}}, "properties.skus.uniqueItems"),
        ({"$defs": {"enum": {"uniqueItems": True}}}, r"\$defs.enum.uniqueItems"),
        ({"allOf": [{}, {"items": {"uniqueItems": True}}]}, "allOf.1.items.uniqueItems"),
        ({"$ref": "skus.json"}, "uniqueItems"),
    ],
)
def test_a_list_that_could_be_compared_for_hours_is_refused(schema: object, place: str) -> None:
    """A record within the size limit must not keep the consumer from all others: at the start, by its place."""
    Path("skus.json").write_text('{"uniqueItems": true}')
    with pytest.raises(ConfigurationError, match=rf"\.json: at {place}: uniqueItems compares .* of at most 1000"):
        _ = adapter_of(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"uniqueItems": True, "maxItems": 1_000},
        {"uniqueItems": False},
        {"properties": {"uniqueItems": True}},
        {"enum": [{"uniqueItems": True}]},
    ],
)
def test_what_only_looks_so_is_taken(schema: object) -> None:
    """A bounded list, a property of that name, a value."""
    assert isinstance(adapter_of(schema), SchemaAdapter)


def test_the_longest_list_that_is_compared_takes_little_time() -> None:
    """Of the kind that takes longest: integers beyond 64 bits."""
    adapter = adapter_of({"uniqueItems": True, "maxItems": MAX_UNIQUE_ITEMS})
    text = json.dumps([10**30 + number for number in range(MAX_UNIQUE_ITEMS)])
    started = time.process_time()
    assert len(adapter.validate_json(text)) == MAX_UNIQUE_ITEMS
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("name", ["missing.json", ".", "latin.json"])
def test_a_file_that_can_not_be_read_is_told(name: str) -> None:
    """By its name, too."""
    Path("latin.json").write_bytes(b'{"title": "\xe4"}')
    with pytest.raises(ConfigurationError, match=r"^FERRY_ROUTES: .*orders.*: expected a ") as caught:
        _ = Route("orders", JsonSchema(name), "handleOrder").adapter
    assert str(Path(name).absolute()) in str(caught.value)


def test_a_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    Path("order.schema.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(
        ConfigurationError, match=r"order\.schema\.json: needs jsonschema-rs: install ferry-kafka\[json"
    ):
        _ = JsonSchema("order.schema.json").adapter


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema", "$recursiveRef"])
@pytest.mark.parametrize("reference", ["http://{}/order.json", "http://{}/order.json#/$defs/order"])
def test_no_server_is_ever_asked(keyword: str, reference: str) -> None:
    """Neither when the schema is read nor when a record is checked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        url = reference.format(f"127.0.0.1:{server.getsockname()[1]}")
        schemas = ({keyword: url}, {"if": {keyword: url}}, {"$id": url, "properties": {"a": {"$ref": "b.json"}}})
        for schema in schemas:
            with contextlib.suppress(ConfigurationError, ValidationError):
                adapter_of(schema).validate_json('{"a": 1}')
        with pytest.raises(TimeoutError):
            server.accept()


#: Prints by how many megabytes the process grew at its highest, over what it had before, and how the check ended.
_MEASURE = """
import sys
import time
from pathlib import Path
from ferry_shared.decode import check
from ferry_shared.errors import InvalidRecord
from ferry_shared.json_schema import JsonSchema
Path("schema.json").write_text(sys.argv[1])
adapter, item = JsonSchema("schema.json").adapter, sys.argv[2]
def value():
    if item == "members":
        return b"{" + b",".join(b'"%x":0' % number for number in range(110_000)) + b"}"
    if item == "deep":
        return b"[" * 150 + b'"x"' + b"]" * 150
    return b"[" + b",".join([item.encode()] * (1_048_000 // (len(item) + 1))) + b"]"
def highest_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
text = value()
open("/proc/self/clear_refs", "w").write("5")
before = highest_kb()
try:
    check(text, adapter, 1_048_588)
except InvalidRecord as error:
    print((highest_kb() - before) // 1024, error)
"""


@pytest.mark.parametrize(
    ("schema", "item"),
    [
        ({"items": {"type": "integer"}}, "{}"),
        ({"oneOf": [{"items": {"type": kind}} for kind in ("integer", "string", "null", "boolean")]}, "{}"),
        ({"items": {"anyOf": [{"type": "integer"}, {"required": ["a"]}]}}, "{}"),
        ({"additionalProperties": {"type": "string"}}, "members"),
        ({"additionalProperties": False}, "members"),
        ({"uniqueItems": True, "maxItems": 1_000}, '{"a":[1]}'),
        ({"oneOf": [{"items": {"$ref": "#"}, "minItems": 1}, {"items": {"$ref": "#"}}, {"type": "null"}]}, "deep"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_a_hostile_value_takes_little_memory(schema: object, item: str) -> None:
    """About what it takes as Python objects (30 MB for 1 MB); the library's own report takes gigabytes."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, json.dumps(schema), item],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    megabytes, error = done.stdout.split(" ", 1)
    assert error.startswith("invalid: ")
    assert int(megabytes) <= 80


PAGE = Path(__file__).parents[3] / "docs" / "own_task.md"


def test_the_pages_schema_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/own_task.md: its module, with its schema beside it."""
    page = PAGE.read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(# returns/routes\.py\n.*?)```", page, re.DOTALL)
    (schema,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "returns").mkdir()
    (tmp_path / "returns/routes.py").write_text(module)
    (tmp_path / "returns/return.schema.json").write_text(schema)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir("/")
    (route,) = load_routes(RoutingSettings(ferry_routes="returns.routes:routes"))
    adapter = route.adapter
    assert adapter.validate_json('{"order": 1, "received": "2026-01-01T00:00:00Z"}')["order"] == 1
    with pytest.raises(ValidationError, match="date-time"):
        adapter.validate_json('{"order": 1, "received": "yesterday"}')
