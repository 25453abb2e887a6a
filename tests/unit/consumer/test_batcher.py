"""What of the records that were fetched goes together into one Celery message."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ferry_consumer import batcher, dispatch
from ferry_consumer.batcher import Batcher
from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_consumer.plain_run import PlainRun
from ferry_shared.ledger.consumer_ledger import Ownership
from ferry_shared.ledger.dispatches import Dispatch, Queued
from ferry_shared.ledger.keys import member_span, message_count
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from tests.support.fetched_message import Headers, fetched
from tests.support.held_partition import held_partition

LIMITS = DispatchLimits(1_048_588, 3_600, 5)
NOW_MS = 1_700_000_000_000
SENT_MS = NOW_MS - 9
FIRST = 10
GAPS = [0, 0, 0, 1, 12]
KINDS = [*["valid"] * 6, "invalid", "delayed", "foreign"]


class Order(BaseModel):
    """A message, which can be delayed."""

    text: str
    after: float | None = None


@dataclass(frozen=True)
class Fetched:
    """A record, and what is to become of it."""

    offset: int
    kind: str = "valid"
    text: str = ""
    key: bytes | None = None
    note: bytes | None = None

    @property
    def value(self) -> bytes:
        """Its bytes."""
        if self.kind == "invalid":
            return b"{"
        return json.dumps({"text": self.text, "after": 60 if self.kind == "delayed" else None}).encode()

    @property
    def message(self) -> Message:
        """As Kafka's client hands it over; one without headers can be taken together with its neighbours."""
        headers: Headers = [] if self.note is None else [("note", self.note)]
        mark: Headers = [(REPLAY_HEADER, b"t-0-4@blue")] if self.kind == "foreign" else []
        sent = (TIMESTAMP_CREATE_TIME, SENT_MS)
        return fetched(self.offset, self.value, key=self.key, headers=headers + mark, timestamp=sent)

    @property
    def size(self) -> int:
        """Bytes of value, key and headers."""
        noted = 0 if self.note is None else len("note") + len(self.note)
        return len(self.value) + len(self.key or b"") + noted


#: Each record is looked at by itself, for it can be delayed.
DELAYING = Route("t", Order, "task", countdown_field="after")
#: Ordinary records are taken many at a time.
ORDINARY = replace(DELAYING, countdown_field=None)
OWNER = Ownership("ledger", 5)
TEMPLATE = TaskTemplate(ORDINARY, "ferry", TopicPartition("t", 0), "ledger")


WAYS = {"one by one": DELAYING, "many at a time": ORDINARY}
BOTH_WAYS = pytest.mark.parametrize("route", WAYS.values(), ids=list(WAYS))


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """Both ways of a record into a batch; which one was taken is looked at afterwards."""
    route, runs, add_run = request.param, [], Batcher.add_run

    def noted(self: Batcher, run: PlainRun) -> None:
        runs.append(run)
        add_run(self, run)

    monkeypatch.setattr(Batcher, "add_run", noted)
    yield route
    assert bool(runs) is (route is ORDINARY)


def calls_of(records: Sequence[Fetched], route: Route, limits: DispatchLimits = LIMITS) -> list[Dispatch]:
    """What they become."""
    owned = held_partition(route, FIRST, ownership=OWNER)
    return dispatches_of(owned, [record.message for record in records], NOW_MS, limits)


def members_of(records: Sequence[Fetched], route: Route, limits: DispatchLimits = LIMITS) -> list[str]:
    """The members that are queued, in order."""
    return [entry.member for call in calls_of(records, route, limits) for entry in call.queued]


def run_of(count: int, *, step: int = 1, **fields: Any) -> list[Fetched]:
    """Records in a row."""
    return [Fetched(FIRST + step * number, **fields) for number in range(count)]


def fields_of(entry: Queued) -> tuple[list[int], list[str]]:
    """The offsets and the payloads in a Celery message."""
    message = json.loads(entry.celery_message)
    header, ((argument,), _, _) = message["headers"]["ferry"], json.loads(base64.b64decode(message["body"]))
    offsets = header.get("offsets", [int(header["member"])] if header["v"] == 1 else None)
    return offsets, argument if isinstance(argument, list) else [argument]


@st.composite
def drains(draw: st.DrawFn) -> list[Fetched]:
    """Whatever a partition can hold, with gaps: rows of records that are alike, most of them ordinary ones."""
    offset, records = FIRST, []
    notes = st.sampled_from([None, None, None, b"", b"x" * 30])
    rows = st.tuples(st.sampled_from(KINDS), st.integers(1, 4), st.sampled_from(GAPS), st.integers(0, 60), notes)
    for kind, count, gap, length, note in draw(st.lists(rows, min_size=1, max_size=16)):
        key = draw(st.none() | st.binary(max_size=30))
        for _ in range(count):
            offset += gap
            records.append(Fetched(offset, kind, "x" * length, key, note))
            offset += 1
    return records


@BOTH_WAYS
@given(
    records=drains(),
    most=st.integers(1, 4),
    batch_bytes=st.sampled_from([300, 3_000]),
    call_bytes=st.sampled_from([1, 3_000, dispatch.MAX_CALL_BYTES]),
    run_messages=st.integers(1, 5),
)
def test_whatever_is_fetched(
    records: list[Fetched], most: int, batch_bytes: int, call_bytes: int, run_messages: int, route: Route
) -> None:
    """Each record once, in order, with what is its own; each batch within its limits, and none smaller than need be."""
    if route is ORDINARY:
        records = [record for record in records if record.kind != "delayed"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "MAX_RUN_MESSAGES", run_messages)
        patched.setattr(batcher, "MAX_BATCH_BYTES", batch_bytes)
        patched.setattr(batcher, "MAX_BATCH_SPAN_OFFSETS", 20)
        patched.setattr(dispatch, "MAX_CALL_BYTES", call_bytes)
        calls = calls_of(records, route, replace(LIMITS, batch_messages=most))
    by_offset = {record.offset: record for record in records}
    for call in calls:
        within = [record for record in records if call.expected <= record.offset < call.next]
        found = {kind: [one for one in within if one.kind == kind] for kind in KINDS}
        runs = [fields_of(entry) for entry in call.queued]
        assert [offset for offsets, _ in runs for offset in offsets] == [one.offset for one in found["valid"]]
        assert [int(one.member) for one in call.invalid] == [one.offset for one in found["invalid"]]
        assert [int(one.member) for one in call.delayed] == [one.offset for one in found["delayed"]]
        assert (call.messages, call.passed_over) == (len(found["valid"]), len(found["foreign"]))
        assert call.valid == len(found["valid"]) + len(found["delayed"])
        for entry, (offsets, payloads) in zip(call.queued, runs, strict=True):
            assert payloads == [by_offset[offset].value.decode() for offset in offsets]
            assert (*member_span(entry.member), entry.messages) == (offsets[0], offsets[-1], len(offsets))
            assert message_count(entry.member) == len(offsets) <= most
            assert [one.offset for one in within if offsets[0] <= one.offset <= offsets[-1]] == offsets
            assert len(offsets) == 1 or sum(by_offset[offset].size for offset in offsets) <= batch_bytes
            assert offsets[-1] - offsets[0] < 20
        for (offsets, _), (following, _) in pairwise(runs):
            joined = [*offsets, following[0]]
            assert (
                [one.offset for one in within if offsets[0] <= one.offset <= following[0]] != joined
                or len(joined) > most
                or sum(by_offset[offset].size for offset in joined) > batch_bytes
                or following[0] - offsets[0] >= 20
                or most == 1
            )
    assert [call.expected for call in calls[1:]] == [call.next for call in calls[:-1]]
    assert {record.offset for record in records} <= {
        offset for call in calls for offset in range(call.expected, call.next)
    }


@BOTH_WAYS
@given(records=drains())
def test_alone_it_is_the_plain_message(records: list[Fetched], route: Route) -> None:
    """With a batch size of 1 everything is, byte for byte; above it a record that is alone in its batch."""
    for most in (1, 2):
        for call in calls_of(records, route, replace(LIMITS, batch_messages=most)):
            for entry in call.queued:
                if entry.messages == 1:
                    (payload,) = fields_of(entry)[1]
                    copy = Copy(entry.member, "5.1", 1, SENT_MS, NOW_MS)
                    assert entry.celery_message == TEMPLATE.fill(copy, body_of(payload.encode()))
                assert entry.messages <= most


def test_what_has_arrived_goes_out_at_once(route: Route) -> None:
    """As many as there are, and no more than may be in one."""
    assert members_of(run_of(1), route) == ["10"]
    assert members_of(run_of(4), route) == ["10-13-4"]
    assert members_of(run_of(5), route) == ["10-14-5"]
    assert members_of(run_of(11), route) == ["10-14-5", "15-19-5", "20"]


def test_a_batch_that_ordinary_records_have_filled_takes_no_other_one() -> None:
    """One with a header is no ordinary record: it is added by itself."""
    assert members_of([*run_of(5), Fetched(15, note=b"x"), Fetched(16)], ORDINARY) == ["10-14-5", "15-16-2"]


def test_the_route_says_how_many(route: Route) -> None:
    """Before the setting, in both directions."""
    assert members_of(run_of(4), replace(route, batch_size=2)) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(2), replace(route, batch_size=1)) == ["10", "11"]
    one = replace(LIMITS, batch_messages=1)
    assert members_of(run_of(3), route, one) == ["10", "11", "12"]
    assert members_of(run_of(3), replace(route, batch_size=3), one) == ["10-12-3"]


@pytest.mark.parametrize("kind", ["invalid", "foreign"])
def test_what_lies_between_ends_a_batch(route: Route, kind: str) -> None:
    """So that a batch is all that lies between its first and its last record, whatever the model says later."""
    records = [*run_of(2), Fetched(12, kind), Fetched(13), Fetched(14)]
    assert members_of(records, route) == ["10-11-2", "13-14-2"]


def test_what_waits_ends_a_batch() -> None:
    """For the same reason."""
    assert members_of([*run_of(2), Fetched(12, "delayed"), Fetched(13), Fetched(14)], DELAYING) == [
        "10-11-2",
        "13-14-2",
    ]


def test_gaps_do_not_end_a_batch(route: Route) -> None:
    """Transaction markers and compaction leave them; they are no records."""
    assert members_of(run_of(3, step=7), route) == ["10-24-3"]


def test_a_batch_is_bounded_by_its_bytes(route: Route) -> None:
    """Value, key and headers count: all of them are read again if it must be divided."""
    large = replace(LIMITS, batch_messages=100)
    third = 100 * 1024
    assert members_of(run_of(4, text="x" * third), route, large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(4, key=b"x" * third), route, large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(4, note=b"x" * third), route, large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(3, text="x" * batcher.MAX_BATCH_BYTES), route, large) == ["10", "11", "12"]


def test_a_batch_is_bounded_by_its_span(route: Route) -> None:
    """Offsets that are far apart take long to be read again."""
    far = [Fetched(FIRST), Fetched(FIRST + batcher.MAX_BATCH_SPAN_OFFSETS - 1)]
    assert members_of(far, route) == ["10-10009-2"]
    assert members_of([far[0], Fetched(FIRST + batcher.MAX_BATCH_SPAN_OFFSETS)], route) == ["10", "10010"]


def test_a_call_is_cut_at_its_bytes(route: Route) -> None:
    """With batches as without; a batch ends with its call, for the next call may be refused."""
    calls = calls_of(run_of(60, text="x" * 100_000), route, replace(LIMITS, batch_messages=100))
    sizes = [sum(len(entry.celery_message) for entry in call.queued) for call in calls]
    assert len(calls) > 1
    assert all(size < dispatch.MAX_CALL_BYTES + 300_000 for size in sizes)
    assert all(size > dispatch.MAX_CALL_BYTES - 300_000 for size in sizes[:-1])
    assert [call.expected for call in calls[1:]] == [call.next for call in calls[:-1]]
    assert sum(call.messages for call in calls) == 60


def test_single_messages_are_counted_as_they_are_made(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call holds is known before the next record comes, or the next run of them."""
    one = replace(LIMITS, batch_messages=1)
    (call,) = calls_of(run_of(2), route, one)
    monkeypatch.setattr(dispatch, "MAX_CALL_BYTES", len(call.queued[0].celery_message))
    monkeypatch.setattr(dispatch, "MAX_RUN_MESSAGES", 1)
    assert [call.messages for call in calls_of(run_of(3), route, one)] == [1, 1, 1]


def test_an_open_batch_is_counted_as_it_grows(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a call would take in a whole batch more than it may hold."""
    records = run_of(5)
    monkeypatch.setattr(dispatch, "MAX_CALL_BYTES", 2 * records[0].size)
    monkeypatch.setattr(dispatch, "MAX_RUN_MESSAGES", 1)
    assert [call.messages for call in calls_of(records, route)] == [2, 2, 1]


def test_what_is_in_flight_is_counted_in_messages(route: Route) -> None:
    """So the limits hold, however many a batch has; where no field delays, nothing waits."""
    owned = held_partition(route, FIRST, ownership=OWNER)
    records = [*run_of(5), Fetched(15, "invalid"), Fetched(16, "delayed"), Fetched(17, "foreign"), Fetched(18)]
    (call,) = dispatches_of(owned, [record.message for record in records], NOW_MS, LIMITS)
    owned.prepared = [call]
    owned.note_sent()
    owned.note_dispatched(call)
    queued = ["10-14-5", "18"] if route is DELAYING else ["10-14-5", "16", "18"]
    assert [entry.member for entry in call.queued] == queued
    assert owned.in_flight == 8
