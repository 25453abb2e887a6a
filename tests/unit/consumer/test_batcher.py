"""What of the records that were fetched goes together into one Celery message."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ferry_consumer import batcher, dispatch
from ferry_consumer.dispatch import DispatchLimits, dispatches_of
from ferry_consumer.partition import Partition, Place, Tenure
from ferry_shared.ledger.consumer_ledger import Dispatch, Ownership, Queued
from ferry_shared.ledger.keys import LedgerKeys, member_span, message_count
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from ferry_shared.task_message import Copy, TaskTemplate, body_of

if TYPE_CHECKING:
    from confluent_kafka import Message

PLACE = TopicPartition("t", 0)
LIMITS = DispatchLimits(1_048_588, 3_600, 5)
NOW_MS = 1_700_000_000_000
SENT_MS = NOW_MS - 9
FIRST = 10
KINDS = ["valid", "valid", "valid", "invalid", "delayed", "foreign"]


class Order(BaseModel):
    """A message, which can be delayed."""

    text: str
    after: float | None = None


@dataclass(frozen=True)
class Fetched:
    """As much of a confluent_kafka.Message as the dispatch reads."""

    number: int
    kind: str = "valid"
    text: str = ""
    record_key: bytes | None = None
    note: bytes | None = None

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes:
        if self.kind == "invalid":
            return b"{"
        return json.dumps({"text": self.text, "after": 60 if self.kind == "delayed" else None}).encode()

    def error(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, SENT_MS

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def key(self) -> bytes | None:
        return self.record_key

    def headers(self) -> list[tuple[str, bytes | None]]:
        # One without headers can be taken together with its neighbours.
        mine: list[tuple[str, bytes | None]] = [] if self.note is None else [("note", self.note)]
        return [*mine, (REPLAY_HEADER, b"t-0-4@blue")] if self.kind == "foreign" else mine

    @property
    def size(self) -> int:
        """Bytes of value, key and headers."""
        noted = 0 if self.note is None else len("note") + len(self.note)
        return len(self.value()) + len(self.record_key or b"") + noted


TEMPLATE_ROUTE = Route("t", Order, "task", countdown_field="after")
TEMPLATE = TaskTemplate(TEMPLATE_ROUTE, "ferry", PLACE, "ledger")


def partition(route: Route = TEMPLATE_ROUTE) -> Partition:
    """A partition whose tenure has just begun."""
    owned = Partition(Place(PLACE, route, route.adapter, LedgerKeys.of("", "ferry", PLACE), "celery"))
    transport = Transport("celery", "unacked", TEMPLATE.stem, TEMPLATE.suffix)
    owned.start(Tenure(Ownership("ledger", 5), "topic-id", TEMPLATE, transport), FIRST, FIRST, 0)
    return owned


def calls_of(
    records: Sequence[Fetched], limits: DispatchLimits = LIMITS, route: Route = TEMPLATE_ROUTE
) -> list[Dispatch]:
    """What they become."""
    return dispatches_of(partition(route), cast("list[Message]", list(records)), NOW_MS, limits)


def members_of(records: Sequence[Fetched], limits: DispatchLimits = LIMITS, route: Route = TEMPLATE_ROUTE) -> list[str]:
    """The members that are queued, in order."""
    return [entry.member for call in calls_of(records, limits, route) for entry in call.queued]


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
    """Whatever a partition can hold, with gaps."""
    offset, records = FIRST, []
    for kind, gap, length in draw(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 60)))):
        offset += gap
        key = draw(st.none() | st.binary(max_size=30))
        records.append(Fetched(offset, kind, "x" * length, key, draw(st.none() | st.binary(max_size=30))))
        offset += 1
    return records


@given(
    records=drains(),
    most=st.integers(1, 7),
    call_bytes=st.sampled_from([1, 3_000, 4 * 1024 * 1024]),
    run_messages=st.integers(1, 7),
    delays=st.booleans(),
)
def test_whatever_is_fetched(
    records: list[Fetched], most: int, call_bytes: int, run_messages: int, *, delays: bool
) -> None:
    """Each record once, in order, with what is its own; each batch within its limits, and none smaller than need be.

    Without delays ordinary records are taken many at a time.
    """
    if not delays:
        records = [record for record in records if record.kind != "delayed"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "MAX_RUN_MESSAGES", run_messages)
        patched.setattr(batcher, "MAX_BATCH_BYTES", 300)
        patched.setattr(batcher, "MAX_BATCH_SPAN_OFFSETS", 20)
        patched.setattr(dispatch, "MAX_CALL_BYTES", call_bytes)
        route = TEMPLATE_ROUTE if delays else replace(TEMPLATE_ROUTE, countdown_field=None)
        calls = calls_of(records, replace(LIMITS, batch_messages=most), route)
    by_offset = {record.number: record for record in records}
    for call in calls:
        within = [record for record in records if call.expected <= record.number < call.next]
        found = {kind: [one for one in within if one.kind == kind] for kind in KINDS}
        runs = [fields_of(entry) for entry in call.queued]
        assert [offset for offsets, _ in runs for offset in offsets] == [one.number for one in found["valid"]]
        assert [int(one.member) for one in call.invalid] == [one.number for one in found["invalid"]]
        assert [int(one.member) for one in call.delayed] == [one.number for one in found["delayed"]]
        assert (call.messages, call.passed_over) == (len(found["valid"]), len(found["foreign"]))
        assert call.valid == len(found["valid"]) + len(found["delayed"])
        for entry, (offsets, payloads) in zip(call.queued, runs, strict=True):
            assert payloads == [by_offset[offset].value().decode() for offset in offsets]
            assert (*member_span(entry.member), entry.messages) == (offsets[0], offsets[-1], len(offsets))
            assert message_count(entry.member) == len(offsets) <= most
            assert [one.number for one in within if offsets[0] <= one.number <= offsets[-1]] == offsets
            assert len(offsets) == 1 or sum(by_offset[offset].size for offset in offsets) <= 300
            assert offsets[-1] - offsets[0] < 20
        for (offsets, _), (following, _) in pairwise(runs):
            joined = [*offsets, following[0]]
            assert (
                [one.number for one in within if offsets[0] <= one.number <= following[0]] != joined
                or len(joined) > most
                or sum(by_offset[offset].size for offset in joined) > 300
                or following[0] - offsets[0] >= 20
                or most == 1
            )
    assert [call.expected for call in calls[1:]] == [call.next for call in calls[:-1]]
    assert {record.number for record in records} <= {
        offset for call in calls for offset in range(call.expected, call.next)
    }


@given(records=drains())
def test_alone_it_is_the_plain_message(records: list[Fetched]) -> None:
    """With a batch size of 1 everything is, byte for byte; above it a record that is alone in its batch."""
    for most in (1, 2):
        for call in calls_of(records, replace(LIMITS, batch_messages=most)):
            for entry in call.queued:
                if entry.messages == 1:
                    (payload,) = fields_of(entry)[1]
                    copy = Copy(entry.member, "5.1", 1, SENT_MS, NOW_MS)
                    assert entry.celery_message == TEMPLATE.fill(copy, body_of(payload.encode()))
                assert entry.messages <= most


def test_what_has_arrived_goes_out_at_once() -> None:
    """As many as there are, and no more than may be in one."""
    assert members_of(run_of(1)) == ["10"]
    assert members_of(run_of(4)) == ["10-13-4"]
    assert members_of(run_of(5)) == ["10-14-5"]
    assert members_of(run_of(11)) == ["10-14-5", "15-19-5", "20"]


def test_a_batch_that_ordinary_records_have_filled_takes_no_other_one() -> None:
    """One with a header is no ordinary record: it is added by itself."""
    plain = replace(TEMPLATE_ROUTE, countdown_field=None)
    assert members_of([*run_of(5), Fetched(15, note=b"x"), Fetched(16)], route=plain) == ["10-14-5", "15-16-2"]


def test_the_route_says_how_many() -> None:
    """Before the setting, in both directions."""
    assert members_of(run_of(4), route=replace(TEMPLATE_ROUTE, batch_size=2)) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(2), route=replace(TEMPLATE_ROUTE, batch_size=1)) == ["10", "11"]
    one = replace(LIMITS, batch_messages=1)
    assert members_of(run_of(3), one) == ["10", "11", "12"]
    assert members_of(run_of(3), one, replace(TEMPLATE_ROUTE, batch_size=3)) == ["10-12-3"]


@pytest.mark.parametrize("kind", ["invalid", "delayed", "foreign"])
def test_what_lies_between_ends_a_batch(kind: str) -> None:
    """So that a batch is all that lies between its first and its last record, whatever the model says later."""
    records = [*run_of(2), Fetched(12, kind), Fetched(13), Fetched(14)]
    assert members_of(records) == ["10-11-2", "13-14-2"]


def test_gaps_do_not_end_a_batch() -> None:
    """Transaction markers and compaction leave them; they are no records."""
    assert members_of(run_of(3, step=7)) == ["10-24-3"]


def test_a_batch_is_bounded_by_its_bytes() -> None:
    """Value, key and headers count: all of them are read again if it must be divided."""
    large = replace(LIMITS, batch_messages=100)
    third = 100 * 1024
    assert members_of(run_of(4, text="x" * third), large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(4, record_key=b"x" * third), large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(4, note=b"x" * third), large) == ["10-11-2", "12-13-2"]
    assert members_of(run_of(3, text="x" * batcher.MAX_BATCH_BYTES), large) == ["10", "11", "12"]


def test_a_batch_is_bounded_by_its_span() -> None:
    """Offsets that are far apart take long to be read again."""
    far = [Fetched(FIRST), Fetched(FIRST + batcher.MAX_BATCH_SPAN_OFFSETS - 1)]
    assert members_of(far) == ["10-10009-2"]
    assert members_of([far[0], Fetched(FIRST + batcher.MAX_BATCH_SPAN_OFFSETS)]) == ["10", "10010"]


def test_a_call_is_cut_at_its_bytes() -> None:
    """With batches as without; a batch ends with its call, for the next call may be refused."""
    calls = calls_of(run_of(60, text="x" * 100_000), replace(LIMITS, batch_messages=100))
    sizes = [sum(len(entry.celery_message) for entry in call.queued) for call in calls]
    assert len(calls) > 1
    assert all(size < dispatch.MAX_CALL_BYTES + 300_000 for size in sizes)
    assert all(size > dispatch.MAX_CALL_BYTES - 300_000 for size in sizes[:-1])
    assert [call.expected for call in calls[1:]] == [call.next for call in calls[:-1]]
    assert sum(call.messages for call in calls) == 60


def test_single_messages_are_counted_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a call holds is known before the next record comes."""
    one = replace(LIMITS, batch_messages=1)
    (call,) = calls_of(run_of(2), one)
    monkeypatch.setattr(dispatch, "MAX_CALL_BYTES", len(call.queued[0].celery_message))
    assert [call.messages for call in calls_of(run_of(3), one)] == [1, 1, 1]


def test_what_is_in_flight_is_counted_in_messages() -> None:
    """So the limits hold, however many a batch has."""
    owned = partition()
    records = [*run_of(5), Fetched(15, "invalid"), Fetched(16, "delayed"), Fetched(17, "foreign"), Fetched(18)]
    (call,) = dispatches_of(owned, cast("list[Message]", records), NOW_MS, LIMITS)
    owned.note_dispatched(call)
    assert [entry.member for entry in call.queued] == ["10-14-5", "18"]
    assert owned.in_flight == 8
