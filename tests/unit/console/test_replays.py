"""What is sent when a dead letter is replayed, what Kafka's answer means, and what is told in the end."""

from collections import Counter
from dataclasses import replace

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.replay_report import SHOWN_PROBLEMS, CutShort, Reach, report
from ferry_console.dead_letters.replay_sending import Answer, Delivery, answer_of
from ferry_console.dead_letters.replaying import MOST_PROBLEMS, Problem, Result, Tally
from ferry_console.dead_letters.replays import Replay, Unfit, prepared
from ferry_consumer.kafka_message import UNREADABLE_HEADERS
from ferry_shared.record import Record, TaskId, TopicPartition
from ferry_shared.replay import REPLAY_HEADER, replay_of
from tests.unit.console.letter_parts import NOW_MS, RECORD, written

UNREADABLE = ((UNREADABLE_HEADERS, b"a header's name is no UTF-8"),)
MARK = Mark("alice@host", NOW_MS)
WHEN = "2023-11-14T22:13:20.000Z alice@host"


def test_a_letter_becomes_the_record_that_it_was() -> None:
    """To its topic and partition, with key, value, and headers; only the mark is new."""
    found = prepared(written(), ".dlq", force=False)
    assert found == Replay(
        TaskId("blue", "orders", 3, 42, 42), f"orders-3-42@blue/{NOW_MS - 9_000}",
        TopicPartition("orders.dlq", 0), 17, b"key", b'{"number": 1}',
        (*RECORD.headers, (REPLAY_HEADER, b"orders-3-42@blue")),
    )  # fmt: skip
    assert found.topic == "orders"


values = st.none() | st.binary(max_size=9)
names = st.sampled_from(["__dlq.errors.topic", "ferry.task-id", REPLAY_HEADER, "note"]) | st.text(max_size=5)
records = st.builds(
    Record, st.just("orders"), st.integers(0, 9), st.integers(0, 2**60), st.none() | st.integers(0, 2**50), values,
    values, st.lists(st.tuples(names, values), max_size=5).map(tuple),
)  # fmt: skip


@given(record=records, group=st.text("abc", min_size=1, max_size=3))
def test_nothing_of_the_record_changes(record: Record, group: str) -> None:
    """However often it goes round: key, value and headers stay, and there is one mark, the last one's."""
    sent = record
    for offset in (5, 6):
        task_id = f"orders-{record.partition}-{offset}@{group}"
        letter = written(replace(sent, offset=offset), task_id=task_id, group=group)
        found = prepared(letter, ".dlq", force=False)
        assert isinstance(found, Replay)
        own = tuple(pair for pair in record.headers if pair[0] != REPLAY_HEADER)
        assert (found.key, found.value, found.partition) == (record.key, record.value, record.partition)
        assert found.headers == (*own, (REPLAY_HEADER, task_id.encode()))
        assert replay_of(found.headers, record.topic_partition, 7) == TaskId.parse(task_id)
        sent = replace(record, headers=found.headers)


def test_a_topic_that_was_created_anew_has_other_messages() -> None:
    """The same id at another time is another message; a letter that is there twice is one."""
    first, again = prepared(written(offset=1), ".dlq", force=False), prepared(written(offset=2), ".dlq", force=False)
    other = prepared(written(replace(RECORD, timestamp_ms=NOW_MS)), ".dlq", force=False)
    timeless = prepared(written(replace(RECORD, timestamp_ms=None)), ".dlq", force=False)
    assert isinstance(first, Replay)
    assert isinstance(again, Replay)
    assert isinstance(other, Replay)
    assert isinstance(timeless, Replay)
    assert first.field == again.field
    assert len({first.field, other.field, timeless.field}) == 3


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(RECORD, topic="orders.dlq", headers=()), "was not written by Ferry"),
        (written(task_id="orders"), "doesn't tell where it came from"),
        (written(task_id="..-0-1"), "doesn't tell where it came from"),
        (written(task_id="orders-4294967296-0"), "doesn't tell where it came from"),
        (written(task_id="orders-3-42..43@blue"), "doesn't tell where it came from"),
        (written(task_id="payments-3-42@blue"), "tells of two places"),
        (written(task_id="orders-4-42@blue"), "tells of two places"),
        (written(task_id="orders-3-43@blue"), "tells of two places"),
        (written(replace(RECORD, topic="payments"), task_id="payments-3-42@blue"), "tells of two places"),
        (written(group="green"), "tells of two places"),
        (written(omitted=(("ferry.value-omitted", "9"), ("ferry.key-omitted", "9"))), "lacks its value and key"),
        (written(omitted=(("ferry.headers-omitted", "9"),)), "lacks its headers"),
        (written(reconstructed=True), "isn't as it was sent"),
        (written(replace(RECORD, headers=UNREADABLE)), "has lost headers that could not be read"),
    ],
)
def test_what_is_not_whole_is_not_replayed(record: Record, why: str) -> None:
    """With the reason; force helps only where there is something to send."""
    found = prepared(record, ".dlq", force=False)
    assert isinstance(found, Unfit)
    assert found.why.startswith(why)
    assert isinstance(prepared(record, ".dlq", force=True), Replay) is ("--force" in found.why)


def test_what_stands_for_unreadable_headers_is_not_sent() -> None:
    """It was never in the record."""
    found = prepared(written(replace(RECORD, headers=UNREADABLE)), ".dlq", force=True)
    assert isinstance(found, Replay)
    assert found.headers == ((REPLAY_HEADER, b"orders-3-42@blue"),)


@given(record=records)
def test_any_record_is_replayed_or_told(record: Record) -> None:
    """A dead-letter topic can hold anything."""
    found = prepared(replace(record, topic="orders.dlq"), ".dlq", force=False)
    assert isinstance(found, Unfit)
    assert found.id


forged = st.sampled_from([
    ("ferry.task-id", b"payments-0-5@blue"), ("ferry.task-id", b"orders-3-99999999999999999999@blue"),
    ("__dlq.errors.topic", b"payments"), ("x-original-topic", b"payments"), ("x-original-partition", b"9999999999"),
    ("x-original-offset", b"-1"), ("x-original-timestamp", b"9" * 19), ("__dlq.errors.group", b"green"),
]) | st.tuples(st.sampled_from([name for name, _ in written().headers]), values)  # fmt: skip


@given(extra=st.lists(forged, min_size=1, max_size=4), before=st.booleans(), force=st.booleans())
def test_no_header_leads_a_replay_elsewhere(
    extra: list[tuple[str, bytes | None]], *, before: bool, force: bool
) -> None:
    """Whatever a forged letter says, it goes to its own topic, into the partition of its own id, or nowhere."""
    letter = written()
    headers = (*extra, *letter.headers) if before else (*letter.headers, *extra)
    found = prepared(replace(letter, headers=headers), ".dlq", force=force)
    if isinstance(found, Replay):
        assert (found.topic, found.partition, found.task_id.group) == ("orders", 3, "blue")
    else:
        assert found.why


@pytest.mark.parametrize(
    ("code", "delivery"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Delivery.REFUSED),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Delivery.REFUSED),
        (KafkaError._UNKNOWN_PARTITION, Delivery.REFUSED),
        (KafkaError._MSG_TIMED_OUT, Delivery.UNKNOWN),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, Delivery.UNKNOWN),
        (KafkaError._PURGE_INFLIGHT, Delivery.UNKNOWN),
    ],
)
def test_only_a_refusal_says_that_a_record_is_not_in_the_log(code: int, delivery: Delivery) -> None:
    """After a time-out it may be there."""
    assert answer_of(KafkaError(code)).delivery is delivery
    assert answer_of(None) == Answer(Delivery.SENT)


def tally(*problems: Problem, **counts: int) -> Tally:
    """So many of each."""
    return Tally(Counter({Result[name.upper()]: count for name, count in counts.items()}), list(problems))


@pytest.mark.parametrize(
    ("counts", "code", "sentence"),
    [
        ({"replayed": 2}, 0, f"{WHEN} replayed 2 dead letters"),
        ({"replayed": 1, "before": 3}, 0, f"{WHEN} replayed 1 dead letter; 3 more had been replayed before"),
        ({"before": 3}, 0, f"{WHEN} replayed 0 dead letters; 3 more had been replayed before"),
        ({}, 1, "there are no dead letters that are asked for"),
        ({"replayed": 5, "unfit": 1}, 1, f"{WHEN} replayed 5 dead letters"),
        ({"unclear": 1}, 1, f"{WHEN} replayed 0 dead letters"),
        ({"replayed": 5, "refused": 1}, 1, f"{WHEN} replayed 5 dead letters"),
    ],
)
def test_the_end_is_told(counts: dict[str, int], code: int, sentence: str) -> None:
    """Who replayed how many and when; exit code 0 only if nothing that was asked for is left."""
    outcome = report(tally(**counts), MARK, Reach(), dry_run=False)
    assert (outcome.exit_code, *outcome.sentences) == (code, sentence)
    assert {name: outcome.facts[name] for name in ("who", "at", "dry_run", "cut_short")} == {
        "who": "alice@host", "at": "2023-11-14T22:13:20.000Z", "dry_run": False, "cut_short": None,
    }  # fmt: skip
    assert {result: outcome.facts[result.name.lower()] for result in Result} == {
        result: counts.get(result.name.lower(), 0) for result in Result
    }


def test_a_dry_run_says_would() -> None:
    """And nothing of who did it."""
    outcome = report(tally(replayed=2, before=1), MARK, Reach(), dry_run=True)
    assert [*outcome.sentences] == ["would replay 2 dead letters; 1 more had been replayed before"]
    assert (outcome.exit_code, outcome.facts["dry_run"]) == (0, True)


def test_problems_are_named_and_many_are_counted() -> None:
    """The first few as sentences, more of them for machines; the rest is a number."""
    found = tally()
    for number in range(MOST_PROBLEMS + 5):
        found.add(Result.REFUSED, f"orders-0-{number}", "was refused by Kafka: too large")
    found.add(Result.REPLAYED, "orders-1-0")
    outcome = report(found, MARK, Reach(), dry_run=False)
    assert len(outcome.facts["problems"]) == MOST_PROBLEMS
    assert outcome.facts["problems"][0] == {
        "id": "orders-0-0", "result": "refused", "why": "was refused by Kafka: too large",
    }  # fmt: skip
    assert outcome.warnings[0] == "orders-0-0 was refused by Kafka: too large"
    assert outcome.warnings[SHOWN_PROBLEMS:] == ["and 985 more that were not replayed: --json lists them"]


@pytest.mark.parametrize(("is_server_away", "code"), [(True, 3), (False, 1)])
def test_an_early_end_is_told(*, is_server_away: bool, code: int) -> None:
    """It isn't taken for the whole, whatever was replayed until then."""
    outcome = report(tally(replayed=2), MARK, Reach(CutShort("the sea is rough", is_server_away)), dry_run=False)
    assert (outcome.exit_code, *outcome.warnings) == (code, "ended early: the sea is rough")
    assert outcome.facts["cut_short"] == "the sea is rough"


def test_what_nobody_could_look_for_is_not_called_absent() -> None:
    """Only a look through everything can say that there is nothing; a topic that isn't there is named."""
    away = report(tally(), MARK, Reach(CutShort("Kafka is away", is_server_away=True)), dry_run=False)
    assert away.sentences == [f"{WHEN} replayed 0 dead letters"]
    absent = report(tally(), MARK, Reach(absent=("ordes.dlq",)), dry_run=False)
    assert absent.sentences == ["there are no dead letters that are asked for"]
    assert absent.warnings == ["there is no topic ordes.dlq: nothing has failed there yet, or it is misspelt"]
    assert absent.facts["absent_topics"] == ["ordes.dlq"]


@given(text=st.binary(max_size=40))
def test_a_mark_that_can_not_be_read_stands(text: bytes) -> None:
    """Somebody wrote it: the letter isn't sent again."""
    assert Mark.of_json(text) == Mark("unknown", 0, sent=True, run="")


@given(who=st.text(st.characters(codec="utf-8"), max_size=9), when_ms=st.integers(0, 2**50), sent=st.booleans())
def test_a_mark_is_read_back(who: str, when_ms: int, *, sent: bool) -> None:
    """As it was written."""
    mark = Mark(who, when_ms, sent)
    assert Mark.of_json(mark.to_json()) == mark
    assert mark != Mark(who, when_ms, sent), "another run of the same person at the same time"
