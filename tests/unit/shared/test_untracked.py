"""What a ledger's head tells of tasks that aren't tracked, and the sentence that it comes to."""

from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.ledger.untracked import RECENT_MS, Obstacle, Untracked, untracked_of, untracked_sentences
from ferry_shared.record import TopicPartition

NOW_MS = 1_700_000_000_000
counts = st.integers(1, 10**15 - 1)
names = st.text(max_size=12)


@given(found=st.dictionaries(st.tuples(st.sampled_from(Obstacle), names), st.tuples(counts, counts), max_size=4))
def test_what_the_script_writes_is_read(found: dict[tuple[Obstacle, str], tuple[int, int]]) -> None:
    """Whatever a task's name is."""
    head = {f"{obstacle}:{task}": f"{count}:{last}" for (obstacle, task), (count, last) in found.items()}
    read = untracked_of(head | {"epoch": "1:2", "format": "1"})
    assert {(one.obstacle, one.task): (one.count, one.last_ms) for one in read} == found
    assert [one.task for one in read] == sorted(task for _, task in found)


@given(
    head=st.dictionaries(names | names.map("untracked:{}".format) | names.map("unknown:{}".format), names, max_size=6)
)
def test_whatever_a_head_holds_can_be_read(head: dict[str, str]) -> None:
    """A value that isn't a count and a time is left out."""
    for one in untracked_of(head):
        field = f"{one.obstacle}:{one.task}"
        assert head[field] == f"{one.count}:{one.last_ms}" or "0" in head[field]


def test_each_task_is_told_once_with_its_partitions() -> None:
    """Counts are added up; of many partitions the first ones are named."""
    found = {
        TopicPartition("orders", number): [Untracked("plain", 500, NOW_MS), Untracked("old", 1, NOW_MS - RECENT_MS - 1)]
        for number in range(5)
    }
    assert untracked_sentences(found, NOW_MS) == [
        "the task 'plain' isn't tracked: it received messages of orders-0, orders-1, orders-2 and 2 more 2,500 times, "
        "and ran none; its base class must be ferry_worker.TrackedTask"
    ]


def test_a_task_that_is_not_known_is_told_with_another_remedy() -> None:
    """Also beside the same one that another worker has and doesn't track."""
    untracked, unknown = (Untracked("plain", 1, NOW_MS, obstacle) for obstacle in Obstacle)
    sentences = untracked_sentences({TopicPartition("orders", 0): [untracked, unknown]}, NOW_MS)
    assert len(sentences) == 2
    assert (
        "the task 'plain' isn't known to a worker that received messages of orders-0 1 times, and ran none; name its "
        "module in that worker's FERRY_IMPORTS, or in the imports of your own app"
    ) in sentences


def test_after_an_hour_it_is_told_no_more() -> None:
    """At the hour it still is."""
    found = {TopicPartition("orders", 0): [Untracked("plain", 1, NOW_MS)]}
    assert len(untracked_sentences(found, NOW_MS + RECENT_MS)) == 1
    assert untracked_sentences(found, NOW_MS + RECENT_MS + 1) == []
