"""`ferry dead-letters` as people and programs read it."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.dead_letters.document import list_document, show_document
from ferry_console.dead_letters.letters import Letter, letter_of
from ferry_console.dead_letters.reading import LetterList
from ferry_console.dead_letters.text import (
    LAID_OUT_BYTES,
    SHOWN_ERROR_CHARACTERS,
    heading,
    letter_lines,
    table,
    warnings,
)
from ferry_console.output import json_line
from ferry_console.trace.text import SHOWN_CHARACTERS
from ferry_shared.record import Record
from tests.unit.console.letter_parts import ERROR, NOW_MS, RECORD, written

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def answer(*found: Letter, more: bool = False, complete: bool = True, absent: tuple[str, ...] = ()) -> LetterList:
    """A list of these, of two topics."""
    return LetterList(("orders.dlq", "shop.dlq"), absent, found, more, 1_234, complete)


def value_lines(value: bytes | None) -> list[str]:
    """How a value is shown."""
    lines = letter_lines(written(replace(RECORD, value=value, key=None, headers=())), NOW_MS)
    first = next(number for number, line in enumerate(lines) if line.startswith("  value"))
    return [line[14:] for line in lines[first:]]


def test_a_letter_whole() -> None:
    """Why, since when and where, where from, and what was in it as it was sent."""
    assert letter_lines(written(), NOW_MS) == [
        "orders-3-42@blue: ValueError",
        "  error       no such order: 1",
        "  written     2023-11-14T22:13:19.000Z (1.0 s ago), as orders.dlq-0-17",
        "  origin      orders-3-42, sent 2023-11-14T22:13:11.000Z (9.0 s ago)",
        "  group       blue, queued 2 times",
        "  key         key",
        r"  header      trace = \xff",
        "  header      none = (none)",
        "  value       {",
        '                "number": 1',
        "              }",
    ]


def test_a_record_that_somebody_else_wrote() -> None:
    """What isn't known is left out."""
    plain = Record("orders.dlq", 0, 5, None, None, b"broken", ())
    assert letter_lines(plain, NOW_MS) == [
        "orders.dlq-0-5: a dead letter that Ferry has not written",
        "  written     at no known time, as orders.dlq-0-5",
        "  value       broken",
    ]
    assert table(answer(letter_of(plain)))[1].split() == ["orders.dlq-0-5", "-", "-"]


def test_what_isnt_as_it_was_sent_is_told() -> None:
    """Parts that its topic did not take, and a value that was made again."""
    omitted = (("ferry.value-omitted", "5001 bytes, sha256 ab"),)
    lines = letter_lines(written(replace(RECORD, value=None), omitted=omitted, reconstructed=True), NOW_MS)
    notes = [line.removeprefix("  note        ") for line in lines if line.startswith("  note")]
    assert notes == [
        "Kafka no longer had the record: the value is what the task was called with, key and headers are lost",
        "its value (5001 bytes, sha256 ab) did not fit into orders.dlq: it is in Kafka at its origin until retention"
        " deletes it",
    ]
    assert "  value       (none)" in lines


@pytest.mark.parametrize(
    "value",
    [b'{"a": 1e400}', b'{"a": 1.50}', b'{"a": 1, "a": 2}', b'{"a": NaN}', b"-0", b"{", b"\xff{}", b"[" * 50_000,
     b'{"a": 100000.00}', b"7" * 5_000, b'{"a":1}'.decode().encode("utf-16")],
)  # fmt: skip
def test_what_would_not_be_the_same_is_shown_as_it_is(value: bytes) -> None:
    """A value is laid out only if no number, name or letter of it changes."""
    (line,) = value_lines(value)
    assert line.startswith(value.decode("utf-8", "backslashreplace").replace("\0", r"\x00")[:SHOWN_CHARACTERS])


def test_json_is_laid_out() -> None:
    """Every digit of it; letters as they are read, and what would act on a terminal by its code."""
    value = json.dumps({"number": 2**70, "share": 0.5, "text": "Stra\u00dfe\n\x1b[2J\u202e", "list": [1, None]})
    assert value_lines(value.encode()) == [
        "{",
        f'  "number": {2**70},',
        '  "share": 0.5,',
        r'  "text": "Straße\n\u001b[2J' + r'\u202e",',
        '  "list": [',
        "    1,",
        "    null",
        "  ]",
        "}",
    ]


def test_a_large_value_is_shown_by_its_beginning() -> None:
    """With its size; all of it is in JSON."""
    value = json.dumps(["x" * LAID_OUT_BYTES]).encode()
    assert value_lines(value) == [f"{value[:SHOWN_CHARACTERS].decode()}… ({len(value):,} bytes)"]
    (whole,) = show_document("id", [written(replace(RECORD, value=value))], complete=True, missing=())["dead_letters"]
    assert whole["value"] == value.decode()


def test_the_list_has_a_row_each() -> None:
    """Id, time, reason, and the beginning of the error."""
    long = letter_of(written(error=f"invalid: {'x' * 500}", task_id="orders-3-1"))
    rows = [re.sub(" {2,}", "|", row) for row in table(answer(letter_of(written()), long))]
    assert rows == [
        "id|written|reason|error",
        "orders-3-42@blue|2023-11-14T22:13:19.000Z|ValueError|no such order: 1",
        f"orders-3-1|2023-11-14T22:13:19.000Z|invalid|{'x' * SHOWN_ERROR_CHARACTERS}…",
    ]
    assert table(answer()) == []


def test_the_head_says_what_follows() -> None:
    """How many of which topics, and whether there are more."""
    letter, of = letter_of(written()), "orders.dlq, shop.dlq"
    assert heading(answer(letter)) == f"1 dead letter of {of}, newest first"
    assert heading(answer(letter, letter)) == f"2 dead letters of {of}, newest first"
    assert heading(answer(letter, more=True)) == f"the 1 newest dead letters of {of} that are asked for (more: --limit)"
    assert heading(answer()) == f"no dead letters of {of} that are asked for"


def test_what_can_be_missing_is_told() -> None:
    """A topic that isn't there, and a search that was cut short, with what to do."""
    assert warnings(answer()) == []
    absent, short = warnings(answer(absent=("a.dlq", "b.dlq"), complete=False))
    assert absent.startswith("there is no topic a.dlq, b.dlq: nothing has failed there yet")
    assert short.startswith("the search was cut short after 1,234 records")
    assert "--since" in short


def test_the_documents() -> None:
    """The same for programs."""
    listed = list_document(answer(letter_of(written()), more=True, absent=("gone.dlq",)))
    (letter,) = listed.pop("dead_letters")
    assert letter == {
        "id": "orders-3-42@blue", "task_id": "orders-3-42@blue", "topic": "orders.dlq", "partition": 0, "offset": 17,
        "written": "2023-11-14T22:13:19.000Z", "reason": "ValueError", "error": ERROR, "group": "blue",
        "deliveries": 2, "reconstructed": False, "omitted": {},
        "origin": {"topic": "orders", "partition": 3, "offset": 42, "timestamp": "2023-11-14T22:13:11.000Z"},
    }  # fmt: skip
    assert len(listed.pop("warnings")) == 1
    assert listed == {
        "topics": ["orders.dlq", "shop.dlq"], "absent_topics": ["gone.dlq"], "more": True, "read": 1_234,
        "complete": True,
    }  # fmt: skip
    shown = show_document("orders-3-42@blue", [written()], complete=False, missing=("why",))
    (whole,) = shown.pop("dead_letters")
    assert shown == {"id": "orders-3-42@blue", "complete": False, "missing": ["why"]}
    assert letter.items() <= whole.items()
    assert (whole["key"], whole["value"]) == ("key", '{"number": 1}')
    assert whole["headers"] == [["trace", "\\xff"], ["none", None]]
    assert ["ferry.reason", "ValueError"] in whole["added_headers"]
    assert whole["notes"] == []


anything = st.text(max_size=8)
content = st.none() | st.binary(max_size=8) | anything.map(lambda word: word.encode("utf-8", "surrogatepass"))
records = st.builds(
    Record, anything, st.integers(0, 9), st.integers(0, 99), st.none() | st.integers(-(2**63), 2**63), content,
    content | st.recursive(anything | st.integers(), st.lists).map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(anything, content), max_size=2).map(tuple),
)  # fmt: skip


@given(record=records, error=anything, task_id=anything, omitted=anything, is_ferrys=st.booleans())
def test_nothing_that_somebody_wrote_acts_on_the_terminal(
    record: Record, error: str, task_id: str, omitted: str, *, is_ferrys: bool
) -> None:
    """Neither key, value nor headers, nor errors and ids; every line stays one, also as JSON."""
    if is_ferrys:
        record = written(record, error=error, task_id=task_id, omitted=(("ferry.key-omitted", omitted),))
    found = answer(letter_of(record), absent=(error,))
    for line in [*letter_lines(record, NOW_MS), *table(found), heading(found)]:
        assert not UNSAFE.search(line)
    for document in (list_document(found), show_document(task_id, [record], complete=True, missing=())):
        told = json_line(document)
        assert told.isascii()
        assert told.isprintable()
        assert len(json.loads(told)["dead_letters"]) == 1
