"""The soak: its plan, and how memory is compared."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.effects import Part
from tests.chaos.memory import MOST_GROWTH, ROLES, Growth, Sample, growth_of, problems_of
from tests.chaos.soak import FIRST, SOAK_SECONDS, SPARED, soak_plan

MIB = 2**20


@given(st.integers(0, 2**32))
def test_a_fault_a_minute_that_spares_one_of_each(seed: int) -> None:
    """20 in 20 minutes, each of another kind, and one process of each role lives through all of them."""
    faults = soak_plan(seed, SOAK_SECONDS)

    assert [fault.at for fault in faults] == [30.0 + 60.0 * number for number in range(20)]
    assert len({fault.kind.name for fault in faults}) == 20
    assert {fault.kind.name for fault in faults if fault.at < SOAK_SECONDS / 4} == set(FIRST)
    assert not {resource for fault in faults for resource in fault.resources} & SPARED
    assert soak_plan(seed, SOAK_SECONDS) == faults


def samples(role: Part, pid: int, early: int, late: int, until: float = 100.0) -> Iterator[Sample]:
    """A process that has `early` MiB in the first three quarters and `late` in the last."""
    for at in range(0, 100, 5):
        if at < until:
            yield Sample(float(at), role, pid, (early if at < 75 else late) * MIB)


def growth(*own: Sample) -> Growth:
    """Of the consumers."""
    return growth_of(own, 100.0)[ROLES.index(Part.CONSUMER)]


def test_the_last_quarter_is_compared_with_the_third() -> None:
    """The mean of all samples of those that lived through both."""
    found = growth(*samples(Part.CONSUMER, 1, 100, 110), *samples(Part.CONSUMER, 2, 300, 310))

    assert (found.processes, found.third_quarter, found.last_quarter) == (2, 200 * MIB, 210 * MIB)
    assert found.share == pytest.approx(0.05)


def test_what_is_reached_in_the_first_half_is_no_growth() -> None:
    """A process that catches up needs more memory once, and keeps it."""
    steps = [
        Sample(at, Part.CONSUMER, 1, (100 if at < 50 else 120) * MIB) for at in (0.0, 24.0, 49.0, 51.0, 74.0, 99.0)
    ]

    assert growth(*steps).share == 0.0


def test_a_restarted_process_is_left_out() -> None:
    """It ended in the third quarter, and so says nothing."""
    found = growth(*samples(Part.CONSUMER, 1, 100, 100), *samples(Part.CONSUMER, 2, 500, 500, until=60.0))

    assert (found.processes, found.share) == (1, 0.0)


def test_a_process_that_started_after_the_first_quarter_is_left_out() -> None:
    """Its start would count as growth."""
    young = [sample for sample in samples(Part.CONSUMER, 2, 10, 100) if sample.at >= 30]
    found = growth(*samples(Part.CONSUMER, 1, 100, 100), *young)

    assert (found.processes, found.share) == (1, 0.0)


def test_growth_beyond_the_limit_fails_the_run() -> None:
    """2.5 %; a role of which nobody lived through both quarters does, too."""
    fine = [Growth(role, 1, 100.0 * MIB, 102.4 * MIB) for role in ROLES]
    assert list(problems_of(fine)) == []

    (problem,) = problems_of([*fine[1:], Growth(Part.CONSUMER, 1, 100.0 * MIB, (101 + 100 * MOST_GROWTH) * MIB)])
    assert problem.startswith("memory: each consumer grew by 3.5%")
    (problem,) = problems_of([*fine[1:], growth(*samples(Part.CONSUMER, 1, 100, 100, until=60.0))])
    assert problem == "memory: no consumer lived from the first quarter to the end"


def test_memory_may_shrink() -> None:
    """That is no problem."""
    assert list(problems_of([Growth(role, 1, 100.0, 50.0) for role in ROLES])) == []
