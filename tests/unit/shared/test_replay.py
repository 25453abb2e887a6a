"""The mark of a replay."""

from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.replay import REPLAY_HEADER, replay_of

topics = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789._-", min_size=1, max_size=20)
groups = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
task_ids = st.builds(TaskId, groups, topics, st.integers(0, 9), st.just(42), st.just(42))
others = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)


@given(task_id=task_ids, before=others, after=others)
def test_a_mark_is_read_whatever_stands_around_it(
    task_id: TaskId, before: list[tuple[str, bytes | None]], after: list[tuple[str, bytes | None]]
) -> None:
    """It names the group, for every group and topic that there can be; elsewhere than behind its origin, nothing."""
    headers = [*before, (REPLAY_HEADER, task_id.text.encode()), *after]
    place = TopicPartition(task_id.topic, task_id.partition)
    assert replay_of(headers, place, 43) == task_id
    assert replay_of(headers, place, 42) is None
    assert replay_of(headers, place._replace(topic=f"{task_id.topic}x"), 43) is None
    assert replay_of(headers, place._replace(partition=task_id.partition + 1), 43) is None
    assert replay_of([*before, *after], place, 43) is None


@given(mark=st.none() | st.binary(max_size=20))
def test_anything_may_stand_in_the_header(mark: bytes | None) -> None:
    """What isn't a task id marks nothing; nothing raises."""
    found = replay_of([(REPLAY_HEADER, b"orders-0-1@blue"), (REPLAY_HEADER, mark)], TopicPartition("orders", 0), 2)
    assert found is None or found.text.encode() == mark
