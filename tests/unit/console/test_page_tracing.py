"""Messages that are watched."""

from hypothesis import given
from hypothesis import strategies as st

from ferry_console.page.tracing import MOST_CHARACTERS, MOST_TRACES, MOVING_SECONDS, RESTING_SECONDS, Trace, Traces, cut
from ferry_shared.record import TaskId
from tests.support.page_parts import MadeUpFinder

TASK = TaskId("ferry", "orders", 0, 7, 7)


def test_look_by_look() -> None:
    """Four times a second while it moves; the last look says so, and has every time."""
    finder = MadeUpFinder(TASK)
    trace = Trace(finder)
    for state in ("in_kafka", "queued", "running"):
        look = trace.look()
        assert look.event.document["state"] == state
        assert (look.event.is_last, look.event.document["finished"], look.again_seconds) == (
            False,
            False,
            MOVING_SECONDS,
        )
        finder.move()
    look = trace.look()
    assert (look.event.is_last, look.event.document["finished"]) == (True, True)
    assert [step["name"] for step in look.event.document["way"]] == ["Kafka", "queued", "running", "done"]
    assert all(step["reached"] == "passed" and step["at"] for step in look.event.document["way"])
    assert MOVING_SECONDS < RESTING_SECONDS <= 0.5, "what is sent is seen within a second"


def test_the_same_is_told_in_the_same_words() -> None:
    """So that it isn't sent again."""
    trace = Trace(MadeUpFinder(TASK))
    assert trace.look().event == trace.look().event


async def test_one_reader_for_all_who_watch_a_message() -> None:
    """And one for each message, up to a limit; what nobody watches makes room."""
    made: list[TaskId] = []

    def finder(task_id: TaskId) -> MadeUpFinder:
        made.append(task_id)
        return MadeUpFinder(task_id)

    traces = Traces(finder, lambda: False)
    first = traces.of(TASK)
    assert first is not None
    watching = first.watch()
    await anext(watching)
    assert traces.of(TASK) is first
    others = [TaskId("ferry", "orders", 0, number, number) for number in range(100, 100 + MOST_TRACES)]
    watched = []
    for task_id in others:
        broadcast = traces.of(task_id)
        if broadcast is not None:
            watched.append(broadcast.watch())
            await anext(watched[-1])
    assert len(watched) == MOST_TRACES - 1
    assert made == [TASK, *others[:-1]]
    await watching.aclose()  # type: ignore[attr-defined]
    assert traces.of(others[-1]) is not None
    for one in watched:
        await one.aclose()  # type: ignore[attr-defined]


def test_long_texts_are_cut() -> None:
    """However deep they are; short ones and numbers stay as they are."""
    text = "x" * (MOST_CHARACTERS + 1)
    assert cut({"a": [{"b": text}], "c": 1, "d": None, "e": text[1:]}) == {
        "a": [{"b": text[1:] + "… (4,001 characters)"}], "c": 1, "d": None, "e": text[1:],
    }  # fmt: skip


@given(
    told=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_is_short_is_the_same(told: object) -> None:
    """Cutting changes nothing else."""
    assert cut(told) == told
