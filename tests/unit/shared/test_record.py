"""Records and the task ids that tell where a task comes from."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferry_shared.record import DEFAULT_GROUP, Origin, Record, TaskId, TopicPartition, is_topic_name, next_offset

TOPICS = st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True)
GROUPS = st.text(min_size=1, max_size=200)
PARTITIONS = st.integers(0, 2**31 - 1)
OFFSETS = st.integers(0, 2**63 - 1)


@st.composite
def task_ids(draw: st.DrawFn) -> TaskId:
    """Any task id that Ferry can make."""
    first = draw(OFFSETS)
    last = draw(st.one_of(st.just(first), st.integers(first, 2**63 - 1)))
    return TaskId(draw(st.one_of(st.just(DEFAULT_GROUP), GROUPS)), draw(TOPICS), draw(PARTITIONS), first, last)


@given(task_ids())
@example(TaskId("a@b-0-1", "t-0-1..2", 3, 4, 5))
def test_a_task_id_leads_back_to_its_record(task_id: TaskId) -> None:
    """Whatever the names, the text of a task id is read as the same task id."""
    assert TaskId.parse(task_id.text) == task_id


@given(task_ids(), task_ids())
def test_task_ids_differ_where_the_records_differ(one: TaskId, other: TaskId) -> None:
    """Two tasks never share an id, also not those of two groups on one topic."""
    assert (one.text == other.text) == (one == other)


@pytest.mark.parametrize(
    ("task_id", "text"),
    [
        (TaskId("ferry", "messages", 0, 4711, 4711), "messages-0-4711"),
        (TaskId("ferry", "messages", 0, 4711, 4810), "messages-0-4711..4810"),
        (TaskId("billing", "orders-eu", 12, 0, 0), "orders-eu-12-0@billing"),
        (TaskId("billing", "orders.eu", 12, 0, 9), "orders.eu-12-0..9@billing"),
    ],
)
def test_the_text_of_a_task_id(task_id: TaskId, text: str) -> None:
    """Topic, partition, offset; a range for a batch; the group unless it is the default one."""
    assert task_id.text == text


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "messages", "messages-0", "messages-0-", "messages--1", "-0-1", "messages-0-1-", "messages-0--1",
        "messages-+0-1", "messages-0- 1", "messages-00-1", "messages-0-01", "messages-0-1_0", "messages-0-\u0661",
        "messages-0-1..", "messages-0-..1", "messages-0-1..1", "messages-0-2..1", "messages-0-1...2",
        "messages-0-1@", "messages-0-1@ferry", "messages-0-1..02", "two words-0-1", "a/b-0-1", "messages-0-1\n",
        "messages-0-" + "9" * 5_000, "t" * 250 + "-0-1",
    ],
)  # fmt: skip
def test_what_is_no_task_id(text: str) -> None:
    """Anything that Ferry would not have written is refused with what is expected."""
    with pytest.raises(ValueError, match="no task id of Ferry's: expected topic-partition-offset"):
        TaskId.parse(text)


@given(st.text())
def test_any_text_is_a_task_id_or_refused(text: str) -> None:
    """What is read as a task id is the text of that task id."""
    try:
        task_id = TaskId.parse(text)
    except ValueError:
        return
    assert task_id.text == text


@given(OFFSETS)
def test_the_next_offset(offset: int) -> None:
    """A record's successor is what is committed once it is done."""
    record = Record("t", 1, offset, None, None, None, ())

    assert record.next_offset == next_offset(offset) == offset + 1
    assert record.topic_partition == TopicPartition("t", 1)
    assert str(record.topic_partition) == "t-1"


TASK_ID = TaskId("ferry", "t", 0, 1, 1)


@pytest.mark.parametrize(
    ("timestamp_ms", "timestamp"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        (1_800_000_000_123, datetime(2027, 1, 15, 8, 0, 0, 123_000, tzinfo=UTC)),
    ],
)
def test_a_timestamp(timestamp_ms: int, timestamp: datetime) -> None:
    """Kafka's milliseconds are exact, also before 1970."""
    assert Origin(TASK_ID, timestamp_ms).timestamp == timestamp


@given(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
def test_any_timestamp_is_a_time(timestamp_ms: int | None) -> None:
    """A record without a timestamp, or with one outside the calendar, has the present time."""
    before = datetime.now(UTC)
    timestamp = Origin(TASK_ID, timestamp_ms).timestamp

    if timestamp_ms is None or not -62_135_596_800_000 <= timestamp_ms < 253_402_300_800_000:
        assert before <= timestamp <= datetime.now(UTC)
    else:
        assert timestamp.microsecond % 1000 == 0


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "." * 3, "-", "_", "x" * 249])
def test_names_that_kafka_takes(name: str) -> None:
    """Letters, digits, dots, underscores, hyphens, in any order."""
    assert is_topic_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 250, "a b", "a/b", "a:b", "a\n", "ä", "{a}", None, 5])
def test_names_that_kafka_refuses(name: object) -> None:
    """Whatever a user's route holds."""
    assert not is_topic_name(name)
