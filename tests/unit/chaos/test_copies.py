"""What happened to a copy: the observer's notes read in their order, and where that leaves it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.copies import Happened, Standing, Step, read_copies, standing_after, until

A, B, OTHER = "l/t-0-1/1.1.1", "l/t-0-1/1.1.2", "l/t-0-2/1.1.1"
IDS = {"t-0-1"}
H = Happened


def happened(*lines: str, ids: set[str] = IDS) -> dict[str, list[Happened]]:
    """What is read, without the times."""
    return {tag: [step.what for step in steps] for tag, steps in read_copies(lines, ids).items()}


def test_an_ordinary_copy_is_queued_taken_and_acknowledged() -> None:
    """Its own lines only, with their times; status messages of beat and other tasks between are passed over."""
    lines = [
        f"pushed\t1.0\tdispatch\tt-0-1\t{A}\n",
        f"pushed\t1.1\tdispatch\tt-0-2\t{OTHER}\n",
        f"taken\t2.0\t{A}\n",
        "taken\t2.5\t0b7a9f1e-no-tag-of-ferry\n",
        f"removed\t3.0\t{A}\n",
        "detached\t4.0\n",
    ]
    assert read_copies(lines, IDS) == {A: [Step(1.0, H.QUEUED), Step(2.0, H.TAKEN), Step(3.0, H.ACKNOWLEDGED)]}


def test_a_hand_back_is_one_transaction() -> None:
    """Removed and pushed in two lines that follow each other; with anything between, it was acknowledged and pushed."""
    removed, pushed = f"removed\t1.0\t{A}\n", f"pushed\t1.0\ttransport\tt-0-1\t{A}\n"

    assert happened(removed, pushed) == {A: [H.HANDED_BACK]}
    assert happened(removed, f"taken\t1.0\t{OTHER}\n", pushed) == {A: [H.ACKNOWLEDGED, H.QUEUED]}
    assert happened(pushed) == {A: [H.QUEUED]}


def test_a_redelivery_replaces_the_copy_before() -> None:
    """Its script removes that and pushes the next; another task's push says nothing of it."""
    removed = f"removed\t1.0\t{A}\n"

    assert happened(removed, f"pushed\t1.0\tredelivery\tt-0-1\t{B}\n") == {A: [H.REPLACED], B: [H.QUEUED]}
    others = happened(removed, f"pushed\t1.0\tdispatch\tt-0-2\t{OTHER}\n", ids={"t-0-1", "t-0-2"})
    assert others == {A: [H.ACKNOWLEDGED], OTHER: [H.QUEUED]}


def test_a_division_replaces_the_batch() -> None:
    """Its script removes that and pushes what was in it; what another script pushes says nothing of it."""
    batch, one, beyond = "l/t-0-1-3-3/1.1.1", "l/t-0-1/1.2.1", "l/t-0-4/1.2.1"
    ids = {"t-0-1-3-3", "t-0-1", "t-0-4"}
    pushed, removed = f"pushed\t1.0\tdispatch\tt-0-1,t-0-2,t-0-3\t{batch}\n", f"removed\t2.0\t{batch}\n"

    def second(cause: str, tag: str) -> dict[str, list[Happened]]:
        return happened(pushed, removed, f"pushed\t2.0\t{cause}\tt-0-1\t{tag}\n", ids=ids)

    assert second("division", one) == {batch: [H.QUEUED, H.REPLACED], one: [H.QUEUED]}
    assert second("retry", one) == {batch: [H.QUEUED, H.ACKNOWLEDGED], one: [H.QUEUED]}
    assert second("division", beyond) == {batch: [H.QUEUED, H.ACKNOWLEDGED], beyond: [H.QUEUED]}
    assert second("transport", batch) == {batch: [H.QUEUED, H.HANDED_BACK]}


def test_a_start_shows_what_is_left() -> None:
    """Whatever was there before is forgotten, unless it is found."""
    before = (f"pushed\t1.0\tdispatch\tt-0-1\t{A}\n", f"pushed\t1.1\tredelivery\tt-0-1\t{B}\n", f"taken\t2\t{B}\n")
    found = (f"found\t5.0\tt-0-1\t{A}\tqueue\n", f"found\t5.0\tt-0-1\t{B}\tunacked\n")

    assert happened(*before, "attached\t5.0\trun\n", *found) == {
        A: [H.QUEUED, H.FORGOTTEN, H.QUEUED],
        B: [H.QUEUED, H.TAKEN, H.FORGOTTEN, H.TAKEN],
    }
    assert happened(*before, "emptied\t5.0\n")[B] == [H.QUEUED, H.TAKEN, H.FORGOTTEN]


@pytest.mark.parametrize(
    ("steps", "standing"),
    [
        ([], Standing()),
        ([H.QUEUED], Standing(1)),
        ([H.QUEUED, H.TAKEN], Standing(0, 1.0)),
        ([H.TAKEN], Standing(0, 0.0)),
        ([H.QUEUED, H.TAKEN, H.ACKNOWLEDGED], Standing()),
        ([H.QUEUED, H.TAKEN, H.HANDED_BACK], Standing(1)),
        ([H.QUEUED, H.REPLACED], Standing(1)),
        ([H.QUEUED, H.TAKEN, H.QUEUED, H.FORGOTTEN], Standing()),
        ([H.QUEUED, H.TAKEN, H.HANDED_BACK, H.TAKEN], Standing(0, 3.0)),
    ],
)
def test_steps_lead_to_a_standing(steps: list[Happened], standing: Standing) -> None:
    """In the queue, with a worker since then, or neither."""
    assert standing_after([Step(float(at), what) for at, what in enumerate(steps)]) == standing


@given(st.lists(st.sampled_from(Happened)))
def test_a_worker_has_it_exactly_after_a_taking_that_nothing_ended(steps: list[Happened]) -> None:
    """A push alone doesn't take it from the worker; the count of waiting ones never falls below none."""
    standing = standing_after([Step(float(at), what) for at, what in enumerate(steps)])
    last = next((what for what in reversed(steps) if what is not H.QUEUED), None)

    assert (standing.taken_at is not None) is (last is H.TAKEN)
    assert standing.waiting >= 0


def test_the_step_of_the_moment_itself_can_be_left_out() -> None:
    """What a redelivery's own script did to the copy before."""
    steps = [Step(1.0, H.QUEUED), Step(2.0, H.REPLACED), Step(3.0, H.TAKEN)]

    assert until(steps, 2.5, H.REPLACED) == steps[:1]
    assert until(steps, 2.5) == steps[:2]
    assert until(steps, 0.5, H.REPLACED) == []
