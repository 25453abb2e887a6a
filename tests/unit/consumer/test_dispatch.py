"""From fetched records to dispatch calls, and what a refusal means."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from ferry_consumer import dispatch, kafka_message
from ferry_consumer import partition as partition_module
from ferry_consumer.dispatch import DispatchLimits, dispatches_of, still_unanswered
from ferry_consumer.partition import Partition
from ferry_shared.ledger.consumer_ledger import Ownership, Refused
from ferry_shared.ledger.dispatches import Dispatch
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.message import Message as Text
from ferry_shared.record import TopicPartition
from ferry_shared.replay import REPLAY_HEADER
from ferry_shared.routes import Route
from tests.support.fetched_message import TEXT, Headers, fetched
from tests.support.held_partition import held_partition

PLACE = TopicPartition("t", 0)
OWNER = Ownership("ledger", 5)
LIMITS = DispatchLimits(1_048_588, 3_600)


def record(offset: int, value: bytes | None = TEXT, error: int | None = None) -> Message:
    """One with a header: each is judged by itself."""
    return fetched(offset, value, key=b"key", headers=[("a", b"1"), ("a", b"2")], error=error)


class UnreadableHeaders(Message):
    """A record with a header whose name is no UTF-8."""

    def headers(self) -> Any:
        raise SystemError("returned a result with an exception set")


def partition(expected: int = 10) -> Partition:
    """A partition whose tenure has just begun."""
    return held_partition(Route("t", Text, "task"), expected, ownership=OWNER)


def test_records_in_a_row_become_one_call() -> None:
    """From the expected position to the one after the last."""
    (call,) = dispatches_of(partition(), [record(10), record(11), record(12)], 0, LIMITS)
    assert (call.expected, call.next, call.last) == (10, 13, 12)
    assert [entry.member for entry in call.queued] == ["10", "11", "12"]


def test_gaps_are_fine_and_known_offsets_are_passed_over() -> None:
    """Transactions and compaction leave gaps; what lies below the position was dispatched before."""
    (call,) = dispatches_of(partition(), [record(8), record(15), record(15), record(21)], 0, LIMITS)
    assert (call.expected, call.next) == (10, 22)
    assert [entry.member for entry in call.queued] == ["15", "21"]


def test_the_end_of_the_log_moves_the_position() -> None:
    """Behind the last record may lie transaction markers: a commit below them would show lag for ever."""
    end = record(14, None, KafkaError._PARTITION_EOF)
    (call,) = dispatches_of(partition(), [record(10), end], 0, LIMITS)
    assert (call.next, len(call.queued)) == (14, 1)
    (call,) = dispatches_of(partition(), [end], 0, LIMITS)
    assert (call.expected, call.next, call.queued) == (10, 14, [])


def test_nothing_new_makes_no_call() -> None:
    """A quiet partition says only that its end was reached again."""
    end = record(10, None, KafkaError._PARTITION_EOF)
    assert dispatches_of(partition(), [end], 0, LIMITS) == []


def test_an_invalid_record_becomes_an_entry_with_its_reason_and_is_kept_whole() -> None:
    """It is not queued, and its bytes wait for the dead letter."""
    owned = partition()
    (call,) = dispatches_of(owned, [record(10), record(11, b"{")], 0, LIMITS)
    assert [entry.member for entry in call.invalid] == ["11"]
    assert call.invalid[0].error.startswith("not-json: ")
    assert (owned.invalid[11].value, owned.invalid[11].key) == (b"{", b"key")
    assert owned.invalid[11].headers == (("a", b"1"), ("a", b"2"))


def test_a_call_is_cut_before_it_holds_the_server_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call expects the position that the one before leaves behind."""
    monkeypatch.setattr(dispatch, "MAX_CALL_BYTES", 1)
    monkeypatch.setattr(dispatch, "MAX_RUN_MESSAGES", 1)
    calls = dispatches_of(partition(), [record(10), record(12)], 0, LIMITS)
    assert [(call.expected, call.next, len(call.queued)) for call in calls] == [(10, 11, 1), (11, 13, 1)]


def test_the_payload_travels_as_one_text() -> None:
    """Kombu must not find anything to interpret inside."""
    value = b'{"text": "x", "n": 18446744073709551617, "__type__": "date", "__value__": "1"}'
    (call,) = dispatches_of(partition(), [record(10, value)], 0, LIMITS)
    body = json.loads(base64.b64decode(json.loads(call.queued[0].celery_message)["body"]))
    assert body[0] == [value.decode()]


def test_a_record_that_is_too_large_becomes_an_entry_without_a_message() -> None:
    """At the limit it is a task, one byte above it is a dead letter."""
    limit = len(b'{"text": "x"}')
    (call,) = dispatches_of(
        partition(), [record(10), record(11, b'{"text": "xy"}')], 0, replace(LIMITS, record_bytes=limit)
    )
    assert [entry.member for entry in call.queued] == ["10"]
    assert [entry.error for entry in call.invalid] == ["too-large: 14 bytes, CONSUMER_MAX_RECORD_BYTES is 13"]


def unanswered(*spans: tuple[int, int]) -> list[Dispatch]:
    """Calls whose reply was lost."""
    keys = LedgerKeys.of("", "ferry", PLACE)
    return [Dispatch(PLACE, keys, "celery", OWNER, first, end, end - 1, (), ()) for first, end in spans]


def test_a_refusal_at_the_end_of_a_call_is_our_own_success() -> None:
    """The reply was lost, not the call."""
    calls = unanswered((10, 20), (20, 30))
    assert still_unanswered(calls[0], Refused("ledger", 5, 30), calls) == []
    assert still_unanswered(calls[1], Refused("ledger", 5, 20), calls) == calls[1:]


def test_a_refusal_at_the_beginning_of_the_first_call_leaves_all() -> None:
    """The first met a full server, the others came too early; of the first itself it makes no sense."""
    calls = unanswered((10, 20), (20, 30))
    assert still_unanswered(calls[1], Refused("ledger", 5, 10), calls) == calls
    assert still_unanswered(calls[0], Refused("ledger", 5, 10), calls) is None


@pytest.mark.parametrize(
    "refused",
    [
        Refused(None, None, None),
        Refused("other", 5, 30),
        Refused("ledger", 6, 30),
        Refused("ledger", 5, 15),
        Refused("ledger", 5, 40),
    ],
)
def test_any_other_refusal_is_for_recovery(refused: Refused) -> None:
    """No ledger, another owner, a position that none of our calls could have left."""
    calls = unanswered((10, 20), (20, 30))
    assert [still_unanswered(call, refused, calls) for call in calls] == [None, None]


def test_memory_keeps_only_so_many_invalid_records_and_no_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are in the ledger all the same; their records are read again from Kafka."""
    monkeypatch.setattr(partition_module, "MAX_REMEMBERED_RECORDS", 2)
    owned = partition()
    large = record(10, b"x" * (partition_module.MAX_REMEMBERED_BYTES + 1))
    small = [record(offset, b"{") for offset in (11, 12, 13)]
    (call,) = dispatches_of(owned, [large, *small], 0, LIMITS)
    assert [entry.member for entry in call.invalid] == ["10", "11", "12", "13"]
    assert sorted(owned.invalid) == [11, 12]


def test_headers_that_cannot_be_read_stop_nothing() -> None:
    """confluent_kafka raises SystemError over a name that is no UTF-8: the dead letter says so instead."""
    owned = partition()
    dispatches_of(owned, [UnreadableHeaders(topic="t", partition=0, offset=10, value=b"{")], 0, LIMITS)
    assert owned.invalid[10].headers == ((kafka_message.UNREADABLE_HEADERS, b"a header's name is no UTF-8"),)


class Replay(Message):
    """A record that was a dead letter before."""

    def __init__(self, offset: int, *marks: bytes, value: bytes = TEXT) -> None:
        headers: Headers = [("a", b"1"), *((REPLAY_HEADER, mark) for mark in marks)]
        super().__init__(topic="t", partition=0, offset=offset, value=value, headers=headers)
        self.looked = 0

    def headers(self) -> Any:
        self.looked += 1
        return super().headers()


def test_a_replay_for_another_group_is_passed_over_and_counted() -> None:
    """It failed there, not here; the position moves past it, also when there is nothing else."""
    ours, others = Replay(10, b"t-0-3"), Replay(11, b"t-0-4@blue")
    (call,) = dispatches_of(partition(), [ours, others, record(12)], 0, LIMITS)
    assert [entry.member for entry in call.queued] == ["10", "12"]
    assert (call.expected, call.next, call.last, call.passed_over) == (10, 13, 12, 1)
    (call,) = dispatches_of(partition(), [Replay(10, b"t-0-4@blue", value=b"{")], 0, LIMITS)
    assert (call.next, call.queued, call.invalid, call.passed_over) == (11, [], [], 1)


@pytest.mark.parametrize(
    "mark", [b"other-0-4@blue", b"t-1-4@blue", b"t-0-10@blue", b"t-0-4", b"t", b"", b"\xff", b"t-0-4@"]
)
def test_only_a_mark_of_an_earlier_record_here_and_another_group_counts(mark: bytes) -> None:
    """A record that was copied here with its headers is a record like any other; so is one with a broken mark."""
    (call,) = dispatches_of(partition(), [Replay(10, mark)], 0, LIMITS)
    assert (len(call.queued), call.passed_over) == (1, 0)


def test_the_last_mark_counts() -> None:
    """A sender's own header comes before it."""
    both = [Replay(10, b"t-0-4@blue", b"t-0-4"), Replay(11, b"t-0-4", b"t-0-4@blue")]
    (call,) = dispatches_of(partition(), both, 0, LIMITS)
    assert ([entry.member for entry in call.queued], call.passed_over) == (["10"], 1)


def test_headers_are_read_once_a_record() -> None:
    """Reading unreadable ones a second time would crash the client."""
    broken = Replay(10, b"t-0-4", value=b"{")
    owned = partition()
    dispatches_of(owned, [broken], 0, LIMITS)
    assert broken.looked == 1
    assert owned.invalid[10].headers == (("a", b"1"), (REPLAY_HEADER, b"t-0-4"))


def test_what_was_passed_over_is_counted_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a drain becomes several calls, each counts its own."""
    monkeypatch.setattr(dispatch, "MAX_CALL_BYTES", 1)
    monkeypatch.setattr(dispatch, "MAX_RUN_MESSAGES", 1)
    records = [Replay(10, b"t-0-4@blue"), record(11), Replay(12, b"t-0-5@blue"), Replay(13, b"t-0-6@blue")]
    calls = dispatches_of(partition(), records, 0, LIMITS)
    assert [(call.next, len(call.queued), call.passed_over) for call in calls] == [(12, 1, 1), (14, 0, 2)]
