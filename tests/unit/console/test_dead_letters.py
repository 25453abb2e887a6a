"""Dead letters read from their headers, asked for by filters, and found from the ends of their topics backwards."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.dead_letters.letters import Letter, Origin, letter_of, split
from ferry_console.dead_letters.reading import (
    CLOCK_MARGIN_MS,
    FIRST_WINDOW,
    LARGEST_WINDOW,
    LetterList,
    read_letters,
    windows,
)
from ferry_shared.record import Record, TopicPartition
from tests.unit.console.fake_log import FakeLog
from tests.unit.console.letter_parts import ERROR, NOW_MS, RECORD, written

if TYPE_CHECKING:
    from ferry_console.topic_log import TopicLog

EVERYTHING = LetterFilter()


def test_a_letter_tells_what_the_consumer_wrote() -> None:
    """Why, where from, where it lies; the added headers are told apart from the record's own."""
    letter = letter_of(written())
    assert letter == Letter(
        TopicPartition("orders.dlq", 0), 17, NOW_MS - 1_000, "orders-3-42@blue", "ValueError", ERROR, "blue", 2,
        Origin("orders", 3, 42, NOW_MS - 9_000), reconstructed=False, omitted=(),
    )  # fmt: skip
    assert (letter.id, letter.detail) == ("orders-3-42@blue", "no such order: 1")
    own, added = split(written().headers)
    assert own == RECORD.headers
    assert [name for name, _ in added][0::11] == ["__dlq.errors.topic", "ferry.task-id"]


def test_what_was_lost_or_left_out_is_told() -> None:
    """A value that was made again from the task, and parts that its topic did not take."""
    assert letter_of(written(reconstructed=True)).reconstructed
    omitted = (("ferry.value-omitted", "5001 bytes, sha256 ab"), ("ferry.headers-omitted", "2000 bytes in 3 headers"))
    assert letter_of(written(omitted=omitted)).omitted == (
        ("value", "5001 bytes, sha256 ab"), ("headers", "2000 bytes in 3 headers"),
    )  # fmt: skip


def test_a_record_that_somebody_else_wrote() -> None:
    """It is named by where it lies; what it tells in the headers of KIP-1191 is understood; all headers are its own."""
    plain = replace(RECORD, topic="orders.dlq", headers=())
    assert letter_of(plain).id == "orders.dlq-3-42"
    assert letter_of(plain).origin == Origin(None, None, None, None)
    others: tuple[tuple[str, bytes | None], ...] = (
        ("__dlq.errors.message", b"too many deliveries"), ("__dlq.errors.topic", b"orders"),
        ("__dlq.errors.partition", b"1"), ("__dlq.errors.offset", b"7"), ("note", None),
    )  # fmt: skip
    letter = letter_of(replace(plain, headers=others))
    assert (letter.error, letter.detail, letter.reason) == ("too many deliveries", "too many deliveries", None)
    assert letter.origin == Origin("orders", 1, 7, None)
    assert split(others) == (others, ())


names = st.sampled_from(
    ["__dlq.errors.topic", "__dlq.errors.message", "ferry.task-id", "ferry.reason", "x-original-offset", "note"]
)
values = st.none() | st.binary(max_size=9)
any_headers = st.lists(st.tuples(names | st.text(max_size=5), values), max_size=8).map(tuple)
words = st.text(st.characters(codec="utf-8"), max_size=9)
records = st.builds(
    Record, st.just("orders"), st.integers(0, 9), st.integers(0, 2**60), st.none() | st.integers(-(2**62), 2**62),
    values, values, any_headers,
)  # fmt: skip


@given(record=records, error=words, task_id=words, deliveries=st.integers(0, 99), reconstructed=st.booleans())
def test_whatever_a_sender_wrote_the_consumers_word_counts(
    record: Record, error: str, task_id: str, deliveries: int, reconstructed: bool
) -> None:
    """A sender can forge any header: the record's own are given back exactly, and none of them is believed."""
    letter = written(record, error=error, task_id=task_id, deliveries=deliveries, reconstructed=reconstructed)
    own, added = split(letter.headers)
    assert own == record.headers
    assert own + added == letter.headers
    found = letter_of(letter)
    assert (found.task_id, found.error, found.reason) == (task_id, error, error.partition(":")[0])
    assert found.origin == Origin(record.topic, record.partition, record.offset, record.timestamp_ms)
    assert (found.deliveries, found.reconstructed, found.group) == (deliveries, reconstructed, "blue")


@given(headers=any_headers)
def test_any_headers_are_read(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    """A record that isn't Ferry's has any: nothing is lost, nothing raises, and it has an id."""
    own, added = split(headers)
    assert own + added == headers
    assert letter_of(replace(RECORD, headers=headers)).id


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (EVERYTHING, True),
        (LetterFilter(since_ms=NOW_MS - 1_000, until_ms=NOW_MS - 1_000), True),
        (LetterFilter(since_ms=NOW_MS - 999), False),
        (LetterFilter(until_ms=NOW_MS - 1_001), False),
        (LetterFilter(reason="ValueError"), True),
        (LetterFilter(reason="valueerror"), False),
        (LetterFilter(reason="Value"), False),
        (LetterFilter(text="NO SUCH"), True),
        (LetterFilter(text='"number"'), True),
        (LetterFilter(text="trace"), False),
        (LetterFilter(reason="ValueError", text="elsewhere"), False),
        (LetterFilter(group="blue"), True),
        (LetterFilter(group="ferry"), False),
        (LetterFilter(since_ms=NOW_MS, text="no such"), False),
    ],
)
def test_each_filter(wanted: LetterFilter, *, takes: bool) -> None:
    """By time, reason, and text in error or value; all that are given must hold."""
    record = written()
    assert wanted.takes(letter_of(record), record.value) is takes


def test_filters_without_a_time_or_a_value() -> None:
    """A letter without a time is in no span of time; one without a value can still have its error searched."""
    timeless = letter_of(written(written_ms=None))
    assert EVERYTHING.takes(timeless, None)
    assert not LetterFilter(since_ms=0).takes(timeless, None)
    assert not LetterFilter(until_ms=NOW_MS).takes(timeless, None)
    assert LetterFilter(text="such").takes(timeless, None)
    assert LetterFilter(text="stra\u00dfe").takes(timeless, b"in der STRASSE")
    assert not LetterFilter(text="number").takes(timeless, None)


@given(start=st.integers(0, 10**6), length=st.integers(0, 10**5))
def test_windows_cover_a_log_once(start: int, length: int) -> None:
    """From the end to the start, each ending where the one before began; first small, then larger, never too large."""
    found = list(windows(start, start + length))
    assert sum(end - begin for begin, end in found) == length
    assert [begin for begin, _ in found[:-1]] == [end for _, end in found[1:]]
    assert all(0 < end - begin <= LARGEST_WINDOW for begin, end in found)
    if found:
        assert (found[0][1], found[-1][0]) == (start + length, start)
        assert found[0][1] - found[0][0] <= FIRST_WINDOW


def read(log: FakeLog, topics: list[str], wanted: LetterFilter = EVERYTHING, limit: int = 50) -> LetterList:
    """Read from a log in memory."""
    return read_letters(cast("TopicLog", log), topics, wanted, limit, 30.0)


def letters(number: int, *, topic: str = "orders.dlq", partition: int = 0, every_ms: int = 1_000) -> list[Record]:
    """So many letters, each some time after the one before, every tenth of them of another reason."""
    return [
        replace(
            written(offset=offset, written_ms=NOW_MS + offset * every_ms, task_id=f"orders-{partition}-{offset}",
                    error="rare: x" if offset % 10 == 3 else ERROR),
            topic=topic, partition=partition,
        )
        for offset in range(number)
    ]  # fmt: skip


def test_the_newest_come_first_and_no_more_is_read_than_needed() -> None:
    """Of ten thousand letters the end is read, and only that."""
    log = FakeLog({"orders.dlq": {0: letters(10_000)}})
    found = read(log, ["orders.dlq"])
    assert [letter.offset for letter in found.found] == list(range(9_999, 9_949, -1))
    assert (found.more, found.complete, found.read) == (True, True, FIRST_WINDOW)
    assert (found.topics, found.absent) == (("orders.dlq",), ())
    four = FakeLog({"orders.dlq": {0: letters(4)}})
    assert [read(four, ["orders.dlq"], limit=limit).more for limit in (3, 4, 5)] == [True, False, False]


def test_a_rare_reason_is_searched_backwards() -> None:
    """Further back in growing pieces, until enough is found."""
    log = FakeLog({"orders.dlq": {0: letters(10_000)}})
    found = read(log, ["orders.dlq"], LetterFilter(reason="rare"), 25)
    assert [letter.offset for letter in found.found] == list(range(9_993, 9_743, -10))
    assert (found.more, found.read) == (True, 300)
    every = read(log, ["orders.dlq"], LetterFilter(text="nowhere"))
    assert (every.found, every.more, every.read, every.complete) == ((), False, 10_000, True)


def test_topics_and_partitions_are_one_list() -> None:
    """By time over all of them; a topic that isn't there is told."""
    log = FakeLog({
        "a.dlq": {0: letters(5, topic="a.dlq", every_ms=10), 1: letters(5, topic="a.dlq", partition=1, every_ms=7)},
        "b.dlq": {0: letters(5, topic="b.dlq", every_ms=8)}, "empty.dlq": {0: []},
    })  # fmt: skip
    found = read(log, ["a.dlq", "b.dlq", "empty.dlq", "gone.dlq"], limit=4)
    assert [(letter.place.topic, letter.place.partition, letter.offset) for letter in found.found] == [
        ("a.dlq", 0, 4), ("b.dlq", 0, 4), ("a.dlq", 0, 3), ("a.dlq", 1, 4),
    ]  # fmt: skip
    assert (found.topics, found.absent, found.more) == (("a.dlq", "b.dlq", "empty.dlq"), ("gone.dlq",), True)


def test_a_span_of_time_is_looked_up_and_not_searched() -> None:
    """Kafka tells where it begins and ends; what writers' clocks can have mixed up is read, the rest isn't."""
    log = FakeLog({"orders.dlq": {0: letters(10_000)}})
    since, until = NOW_MS + 5_000_000, NOW_MS + 5_009_000
    found = read(log, ["orders.dlq"], LetterFilter(since_ms=since, until_ms=until))
    assert [letter.offset for letter in found.found] == list(range(5_009, 4_999, -1))
    assert found.read == 10 + CLOCK_MARGIN_MS // 1_000 - 1
    assert read(log, ["orders.dlq"], LetterFilter(since_ms=NOW_MS + 10**9)).read == 0


def test_times_out_of_order_are_found() -> None:
    """Two consumers' clocks differ by half a minute: what lies behind a younger one is still in the span."""
    mixed = [written(offset=0, written_ms=NOW_MS), written(offset=1, written_ms=NOW_MS + 30_000),
             written(offset=2, written_ms=NOW_MS + 5)]  # fmt: skip
    log = FakeLog({"orders.dlq": {0: mixed}})
    found = read(log, ["orders.dlq"], LetterFilter(since_ms=NOW_MS, until_ms=NOW_MS + 10))
    assert [letter.offset for letter in found.found] == [2, 0]


def test_a_search_that_takes_too_long_is_told_and_shows_the_newest_of_all() -> None:
    """The time goes to the ends of all partitions first."""
    topics = {name: {0: letters(5_000, topic=name)} for name in ("a.dlq", "b.dlq")}
    found = read(FakeLog(topics, limit=250), ["a.dlq", "b.dlq"], LetterFilter(reason="rare"))
    assert (found.complete, found.read) == (False, 250)
    assert {letter.place.topic for letter in found.found} == {"a.dlq", "b.dlq"}
    assert found.found[0].offset == 4_993


@given(
    counts=st.lists(st.integers(0, 400), min_size=1, max_size=3), limit=st.integers(1, 60),
    reason=st.sampled_from([None, "rare", "ValueError", "none"]), since=st.none() | st.integers(-5, 400),
    until=st.none() | st.integers(-5, 400),
)  # fmt: skip
def test_the_list_is_what_a_search_of_everything_would_find(
    counts: list[int], limit: int, reason: str | None, since: int | None, until: int | None
) -> None:
    """Whatever is asked for, of however many partitions."""
    partitions = {number: letters(count, partition=number) for number, count in enumerate(counts)}
    wanted = LetterFilter(
        None if since is None else NOW_MS + since * 1_000, None if until is None else NOW_MS + until * 1_000, reason
    )
    everything = [record for records in partitions.values() for record in records]
    asked_for = [letter_of(record) for record in everything if wanted.takes(letter_of(record), record.value)]
    asked_for.sort(key=lambda letter: (-(letter.written_ms or 0), letter.place.partition))
    found = read(FakeLog({"orders.dlq": partitions}), ["orders.dlq"], wanted, limit)
    assert list(found.found) == asked_for[:limit]
    assert found.more is (len(asked_for) > limit)
    assert found.complete


def test_the_time_for_the_search_is_the_deadline() -> None:
    """In seconds from now."""
    deadlines = []

    class Watching(FakeLog):
        def read(self, topic: str, stretches: object, deadline: float, look: object) -> bool:
            deadlines.append(deadline - time.monotonic())
            return True

    log = Watching({"orders.dlq": {0: letters(1)}})
    read_letters(cast("TopicLog", log), ["orders.dlq"], EVERYTHING, 1, 12.0)
    assert 11.0 < deadlines[0] <= 12.0
