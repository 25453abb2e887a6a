"""`ferry trace` as people and programs read it."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.output import json_line
from ferry_console.trace.document import document
from ferry_console.trace.findings import DeadLetters, Findings, KafkaView
from ferry_console.trace.text import SHOWN_CHARACTERS, answer, lines, remarks
from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.entry_view import EntryState, EntryView, QueueSearch
from ferry_shared.record import Record, TaskId
from tests.unit.console.trace_parts import (
    ABSENT,
    FOUND,
    GONE,
    LETTER,
    NO_LETTERS,
    NOW_MS,
    RECORD,
    STATE,
    TASK,
    ended,
    findings,
    in_flight,
)

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RUNNING = replace(STATE, owner="o", claims=2, claimed_ms=NOW_MS - 4_200, lease_ms=NOW_MS + 325_000)


def test_a_running_message() -> None:
    """Since when, which start, until when its claim holds; times, attempt, content."""
    assert lines(findings(in_flight(RUNNING), letters=LETTER)) == [
        "orders-3-42@blue: running (since 4.2 s, start 2, its claim holds for another 5 min 25 s)",
        "              it has a dead letter as well, of an earlier time: it was dispatched again since, or comes again",
        "  sent        2023-11-14T22:13:11.000Z",
        "  dispatched  2023-11-14T22:13:15.000Z  (5.0 s ago)",
        "  enqueued    2023-11-14T22:13:16.000Z  (4.0 s ago)",
        "  claimed     2023-11-14T22:13:15.800Z  (4.2 s ago)",
        "  claim until 2023-11-14T22:18:45.000Z  (in 5 min 25 s)",
        "  attempt     3, started 2 times, queued 1 times, last copy 1, token 2.3",
        "  partition   position 80, committed 40, ledger sound",
        "  key         key",
        '  value       {"number": 1}',
        r"  header      trace = \xff",
        "  header      none = (none)",
        "  dead letter orders.dlq-0-17, written 2023-11-14T22:13:19.000Z",
        "  header      ferry.reason = invalid",
    ]


@pytest.mark.parametrize(
    ("state", "queue", "text"),
    [
        (STATE, QueueSearch(1_204, 1, complete=True), "queued (1,204 before it in its queue)"),
        (STATE, None, "queued, or just being taken by a worker"),
        (STATE, QueueSearch(None, 1, complete=True), "in flight, but neither in its queue nor with a worker"),
        (replace(RUNNING, lease_ms=NOW_MS - 60_000), None, "left by its worker (start 2, its claim ended 1 min ago)"),
        (replace(STATE, due_ms=NOW_MS + 2_500), None, "waiting for its retry (attempt 3, due in 2.5 s)"),
        (replace(STATE, due_ms=NOW_MS - 2_500), None, "waiting for its retry (attempt 3, due 2.5 s ago)"),
        (replace(STATE, error="E: a\nb"), None, r"failed, its dead letter is being written (E: a\nb)"),
    ],
)
def test_the_answer(state: EntryState, queue: QueueSearch | None, text: str) -> None:
    """One line says where it is and what matters there."""
    assert lines(findings(in_flight(state), queue))[0] == f"orders-3-42@blue: {text}"


def test_what_is_said_of_an_end() -> None:
    """When a message was done isn't known, and a search that was cut short is no proof."""
    assert "when is not" in next(remarks(findings(ended())))
    cut_short = findings(ended(), letters=DeadLetters((), 120_000, complete=False))
    assert "cut short after 120,000 records" in [*remarks(cut_short)][-1]
    assert answer(cut_short) == "done or a dead letter"
    assert [*remarks(findings(ended(rewound="5"), letters=LETTER))] == [
        "offsets of its partition were dispatched again at some time: it may have run since"
    ]
    assert [*remarks(findings(ended(rewound="0"), letters=LETTER))] == []


def test_a_replay_names_what_it_replays() -> None:
    """And to another group it says why nothing became of it."""
    marked = {group: replace(FOUND, record=replace(RECORD, headers=(("ferry.replay-of", b"orders-3-7@" + group),)))
              for group in (b"blue", b"green")}  # fmt: skip
    assert "it is the dead letter orders-3-7@blue, sent again" in remarks(findings(ended(), kafka=marked[b"blue"]))
    told = [*remarks(findings(ended(), kafka=marked[b"green"]))]
    assert told[-1] == "it is the dead letter orders-3-7@green, sent again, for group green: this group passes it over"


def test_without_a_ledger_the_group_is_named() -> None:
    """Who forgot the group's name in the id sees which group was asked."""
    assert "group blue has no ledger" in [*remarks(findings(ABSENT))][-1]


def test_what_a_server_did_not_say_is_told() -> None:
    """The half that answered is shown, and what is missing."""
    told = lines(findings(None, letters=NO_LETTERS, missing=("Redis: refused: …",)))
    assert told[0] == "orders-3-42@blue: not known"
    assert told[-1] == "  missing     Redis: refused: …"
    assert any(line.startswith("  value") for line in told)


def test_a_long_text_is_cut() -> None:
    """Its beginning and its size; the record is in Kafka."""
    record = replace(RECORD, value=b"x" * 1_000_000, headers=())
    (value,) = [line for line in lines(findings(ended(), kafka=replace(FOUND, record=record))) if "value" in line]
    assert value == f"  value       {'x' * SHOWN_CHARACTERS}… (1,000,000 bytes)"


def test_a_retry_shows_what_it_will_run_with() -> None:
    """The stored payload, which can have other arguments than the record."""
    state = replace(STATE, due_ms=NOW_MS + 1)
    assert '  stored      {"number": 2}' in lines(findings(in_flight(state, payload=b'{"number": 2}')))


def test_the_document_of_a_running_message() -> None:
    """The same for programs."""
    told = document(findings(in_flight(RUNNING), letters=LETTER))
    assert (told["state"], told["task_id"], told["offset"]) == ("running", "orders-3-42@blue", 42)
    assert told["entry"] == {
        "member": "42", "attempt": 3, "token": "2.3", "copy": 1, "starts": 2, "deliveries": 1,
        "enqueued": "2023-11-14T22:13:16.000Z", "taken": False, "claimed": "2023-11-14T22:13:15.800Z",
        "claim_until": "2023-11-14T22:18:45.000Z", "retry_due": None, "error": None, "stored": None,
    }  # fmt: skip
    assert told["ledger"]["dispatched"] == "2023-11-14T22:13:15.000Z"
    assert told["kafka"]["record"] == {
        "timestamp": "2023-11-14T22:13:11.000Z",
        "key": "key",
        "value": '{"number": 1}',
        "headers": [["trace", "\\xff"], ["none", None]],
    }
    assert [(letter["topic"], letter["offset"]) for letter in told["dead_letters"]] == [("orders.dlq", 17)]
    missing = document(findings(None, kafka=None, letters=None, missing=("why",)))
    assert [missing[name] for name in ("ledger", "entry", "kafka", "dead_letters")] == [None] * 4
    assert missing["missing"] == ["why"]


def in_a_batch(progress: int | None) -> Findings:
    """The message is in flight in a batch."""
    return findings(replace(in_flight(replace(RUNNING, progress=progress)), member="40-50-9"))


def test_a_message_in_a_batch_names_it() -> None:
    """By its id, with its size and how far it is; what it has done is done, though it is still in flight."""
    told = lines(in_a_batch(None))
    assert told[0].startswith("orders-3-42@blue: running")
    assert "  batch       orders-3-40..50@blue, 9 messages" in told
    assert document(in_a_batch(None))["batch"] == {"task_id": "orders-3-40..50@blue", "messages": 9, "progress": None}
    told = lines(in_a_batch(42))
    assert told[:2] == [
        "orders-3-42@blue: done",
        "              it is in a batch that goes on, and has run; the worker's log tells when",
    ]
    assert "  batch       orders-3-40..50@blue, 9 messages, nothing left to do up to offset 42" in told
    assert document(in_a_batch(42))["batch"]["progress"] == 42
    assert document(findings(in_flight(RUNNING)))["batch"] is document(findings(ended()))["batch"] is None


def test_of_a_batch_the_first_record_is_shown() -> None:
    """And that is said."""
    batch = replace(TASK, first=42, last=50)
    said = "              the record is its first message's; dead letters have the ids of single messages"
    assert said in lines(replace(findings(ended(), letters=None), task_id=batch))
    assert said not in lines(findings(ended(), letters=None))
    assert said not in lines(replace(findings(ended(), kafka=GONE, letters=None), task_id=batch))


text = st.text(max_size=8)
data = st.none() | st.binary(max_size=8) | text.map(lambda word: word.encode("utf-8", "surrogatepass"))
moments = st.none() | st.integers(-(2**63), 2**63)
records = st.builds(
    Record, text, st.integers(0, 9), st.integers(0, 99), moments, data, data,
    st.lists(st.tuples(text, data), max_size=2).map(tuple),
)  # fmt: skip
states = st.builds(
    EntryState, text, st.integers(), st.integers(), st.integers(), st.integers(0, 2**50), st.none() | text,
    st.integers(0, 2**50), moments, moments, st.none() | text, st.none() | st.integers(0, 99),
)  # fmt: skip
entries = st.builds(
    EntryView, st.sampled_from(Condition), st.just(NOW_MS), st.none() | st.builds(Head.of, st.dictionaries(text, text)),
    st.sampled_from([None, "42", "40-50-9"]), st.none() | states, data.map(lambda word: word or b""), moments,
    taken=st.booleans(),
)  # fmt: skip
everything = st.builds(
    Findings,
    st.builds(TaskId, text, st.just("orders"), st.just(0), st.just(42), st.just(42)),
    st.none() | entries,
    st.none() | st.builds(QueueSearch, st.none() | st.integers(0), st.integers(0), complete=st.booleans()),
    st.none() | st.builds(KafkaView, st.none() | st.integers(0), st.none() | st.integers(0), st.none() | records),
    st.none()
    | st.builds(DeadLetters, st.lists(records, max_size=2).map(tuple), st.integers(0), complete=st.booleans()),
    st.lists(text, max_size=2).map(tuple),
)


@given(found=everything)
def test_nothing_that_somebody_wrote_acts_on_the_terminal(found: Findings) -> None:
    """Neither content nor headers, errors or a group's name; every line stays one, also as JSON."""
    for line in lines(found):
        assert not UNSAFE.search(line)
    told = json_line(document(found))
    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told)["state"]


def test_the_id_is_told_as_it_was_asked() -> None:
    """With its group."""
    assert lines(findings(ended()))[0].startswith(f"{TASK.text}: done")
