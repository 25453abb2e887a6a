"""`ferry in-flight` as people and programs read it: stages, filters, rows, JSON."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.in_flight.document import document
from ferry_console.in_flight.flights import Flight, Wanted
from ferry_console.in_flight.stages import Stage, stage_of
from ferry_console.in_flight.text import SHOWN_CHARACTERS, heading, table, warning_lines
from ferry_console.output import json_line
from ferry_console.trace.findings import Whereabouts, in_flight
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_view import EntryState, EntryView
from ferry_shared.record import TaskId, TopicPartition
from tests.unit.console.in_flight_parts import NOW_MS, PLACE, RUNNING, STATE, answer, flight

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize(
    ("state", "stage", "detail"),
    [
        (STATE, Stage.QUEUED, ""),
        (replace(STATE, deliveries=3), Stage.QUEUED, "queued 3 times"),
        (RUNNING, Stage.RUNNING, "for 4.2 s, its claim ends in 5 min 25 s"),
        (replace(RUNNING, claimed_ms=None), Stage.RUNNING, "its claim ends in 5 min 25 s"),
        (replace(RUNNING, lease_ms=NOW_MS - 60_000), Stage.LEFT, "its claim ended 1 min ago"),
        (replace(STATE, due_ms=NOW_MS + 2_500), Stage.RETRYING, "due in 2.5 s"),
        (replace(STATE, due_ms=NOW_MS - 2_500), Stage.RETRYING, "due 2.5 s ago"),
        (replace(STATE, token="2.1", due_ms=NOW_MS + 2_500), Stage.DELAYED, "due in 2.5 s"),
        (replace(RUNNING, error="E: a\nb"), Stage.FAILED, r"E: a\nb"),
        (replace(STATE, error="x" * 500), Stage.FAILED, "x" * SHOWN_CHARACTERS + "…"),
    ],
)
def test_each_stage_has_its_row(state: EntryState, stage: Stage, detail: str) -> None:
    """What matters at that stage stands at the end of the row."""
    names, row = table(answer(flight(state)))
    assert names.split() == ["task", "state", "age", "attempt", "starts", "detail"]
    assert re.sub(" {2,}", "|", row) == "|".join(
        ["orders-3-42@blue", str(stage), "5.0 s", state.token[-1], str(state.claims), *([detail] if detail else [])]
    )


def test_what_is_not_known_is_a_dash() -> None:
    """A time that Redis has lost, and a token that isn't one."""
    row = table(answer(flight(replace(STATE, token="?"), dispatched_ms=None)))[1]
    assert row.split() == ["orders-3-42@blue", "queued", "-", "-", "0"]


def test_the_head_says_how_many_follow() -> None:
    """Of how many; and how to see more."""
    at = "group blue at 2023-11-14T22:13:20.000Z: 12,345 messages in flight"
    assert heading(answer(flight(), flight())) == f"{at}, 2 listed"
    assert heading(answer(flight(), more=True)) == f"{at}, the 1 oldest of those asked for (more: --limit)"
    assert heading(answer()) == f"{at}, none listed"
    assert table(answer()) == []
    assert warning_lines(answer(warnings=("a\nb",))) == [r"! a\nb"]


@pytest.mark.parametrize(
    ("member", "task_id", "messages"), [("42", "orders-3-42@blue", 1), ("42-60-7", "orders-3-42..60@blue", 7)]
)
def test_a_member_is_named_by_its_task_id(member: str, task_id: str, messages: int) -> None:
    """A batch by its first and last offset, with the number of its messages."""
    named = flight(member=member)
    assert (named.task_id.text, named.messages) == (task_id, messages)
    assert ("7 messages" in table(answer(named))[1]) is (messages == 7)


def test_a_batch_tells_how_far_it_is() -> None:
    """By an offset: how many that are nobody knows, offsets have gaps."""
    running = replace(flight(replace(RUNNING, progress=50), member="42-60-7"))
    row = table(answer(running))[1]
    assert row.endswith("7 messages, done up to offset 50; for 4.2 s, its claim ends in 5 min 25 s")
    assert document(answer(running))["entries"][0]["progress"] == 50


def test_the_document_of_a_running_message() -> None:
    """The same for programs."""
    told = document(answer(flight(RUNNING), more=True, warnings=("w",)))
    assert told.pop("entries") == [
        {
            "task_id": "orders-3-42@blue", "topic": "orders", "partition": 3, "offset": 42, "messages": 1,
            "progress": None, "state": "running", "age_seconds": 5.0, "dispatched": "2023-11-14T22:13:15.000Z",
            "enqueued": "2023-11-14T22:13:16.000Z", "attempt": 3, "starts": 2, "deliveries": 1, "owner": "o",
            "claimed": "2023-11-14T22:13:15.800Z", "claim_until": "2023-11-14T22:18:45.000Z", "retry_due": None,
            "error": None,
        }
    ]  # fmt: skip
    assert told == {
        "group": "blue", "at": "2023-11-14T22:13:20.000Z", "partitions": 4, "in_flight": 12_345, "more": True,
        "warnings": ["w"],
    }  # fmt: skip


anything = st.text(max_size=8)
moments = st.none() | st.integers(-(2**63), 2**63)
states = st.builds(
    EntryState, anything, st.integers(), st.integers(), st.integers(), st.integers(0, 2**50), st.none() | anything,
    st.integers(0, 2**50), moments, moments, st.none() | anything,
)  # fmt: skip
flights = st.builds(
    Flight, st.builds(TaskId, anything, anything, st.integers(0, 9), st.integers(0, 9), st.integers(9, 99)),
    st.integers(1, 9), states, moments, st.just(NOW_MS),
)  # fmt: skip


@given(found=st.lists(flights, max_size=3), warning=anything)
def test_nothing_that_somebody_wrote_acts_on_the_terminal(found: list[Flight], warning: str) -> None:
    """Neither errors nor a group's name; every line stays one, also as JSON."""
    shown = answer(*found, warnings=(warning,))
    for line in [heading(shown), *warning_lines(shown), *table(shown)]:
        assert not UNSAFE.search(line)
    told = json_line(document(shown))
    assert told.isascii()
    assert told.isprintable()
    assert len(json.loads(told)["entries"]) == len(found)


@given(state=states)
def test_stages_are_those_that_a_trace_tells(state: EntryState) -> None:
    """One message has one name for where it is, in the list and in `ferry trace`."""
    view = EntryView(Condition.SOUND, NOW_MS, None, "42", state, b"", None, taken=False)
    expected = stage_of(state, NOW_MS)
    found = in_flight(state, view, None)
    assert found is Whereabouts.WAITING if expected is Stage.QUEUED else found.name == expected.name
    assert in_flight(state, replace(view, taken=True), None) in {found, Whereabouts.TAKEN}


@given(
    candidate=flights,
    wanted=st.builds(
        Wanted, st.just(50), topic=st.none() | st.just("orders"), partition=st.none() | st.integers(0, 4),
        older_than_seconds=st.none() | st.floats(0.1, 1e6), stage=st.none() | st.sampled_from(Stage),
    ),
)  # fmt: skip
def test_each_filter_holds_by_itself(candidate: Flight, wanted: Wanted) -> None:
    """Whatever else is asked for."""
    age = candidate.age_seconds
    assert wanted.is_at(candidate) == (wanted.stage is None or wanted.stage is candidate.stage)
    assert wanted.is_old_enough(candidate) == (
        wanted.older_than_seconds is None or age is None or age >= wanted.older_than_seconds
    )
    for place in (PLACE, TopicPartition("other", 3), TopicPartition("orders", 4)):
        fits = (wanted.topic or place.topic, place.partition if wanted.partition is None else wanted.partition)
        assert wanted.lies_in(place) == (fits == place)


def test_an_age_is_never_negative() -> None:
    """Also when the server's clock was set back."""
    assert flight(dispatched_ms=NOW_MS + 5_000).age_seconds == 0.0


def names_of(found: Any) -> Any:
    """The names of one entry's fields."""
    return set(document(answer(found))["entries"][0])


def test_every_entry_has_the_same_fields() -> None:
    """What isn't known is null, not missing."""
    assert names_of(flight(dispatched_ms=None)) == names_of(flight(RUNNING, "1-2-2"))
