"""The plan of a chaos run: what a seed and a length determine."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.faults.catalogue import FAULTS
from tests.chaos.kinds import KILLED_PROCESSES, KINDS, MOST_OF_A_KIND, Resource
from tests.chaos.oracle.verdict import FULL, SHORT
from tests.chaos.plan import FULL_RUN_SECONDS, Planned, plan

SEEDS = st.integers(0, 2**32)
#: A plan may be drawn many times; how long that takes says nothing.
patient = settings(deadline=None)


def test_every_kind_of_fault_can_be_done() -> None:
    """Each kind has its function, and no function is without a kind."""
    assert [kind.name for kind in KINDS] == list(FAULTS)


@patient
@given(SEEDS)
def test_a_full_run_meets_its_demands(seed: int) -> None:
    """At least 40 faults of 15 kinds, at most 5 of a kind, each process killed three times."""
    faults = plan(seed, FULL_RUN_SECONDS)
    kinds, kills = Counter(fault.kind.name for fault in faults), Counter(fault.kind.killed for fault in faults)

    assert len(faults) >= FULL.faults
    assert len(kinds) >= FULL.kinds
    assert max(kinds.values()) <= MOST_OF_A_KIND
    assert all(kills[process] >= FULL.kills_of_each for process in KILLED_PROCESSES)


@patient
@given(SEEDS)
def test_a_short_run_meets_its_demands(seed: int) -> None:
    """At least 10 faults, each of another kind."""
    faults = plan(seed, 120.0)

    assert len(faults) >= SHORT.faults
    assert len({fault.kind.name for fault in faults}) == len(faults) >= SHORT.kinds


@patient
@given(SEEDS, st.floats(120.0, 3600.0))
def test_faults_that_need_the_same_never_overlap(seed: int, seconds: float) -> None:
    """They come in order, all begin within the run, and wait for what another one holds."""
    faults = plan(seed, seconds)

    assert all(before.at <= after.at for before, after in pairwise(faults))
    assert faults[0].at > 0
    assert faults[-1].at < seconds
    for resource in Resource:
        users = [fault for fault in faults if resource in fault.resources]
        assert all(before.over_at <= after.at + 0.1 for before, after in pairwise(users))


@patient
@given(SEEDS, st.floats(120.0, 1200.0))
def test_the_same_seed_gives_the_same_plan(seed: int, seconds: float) -> None:
    """To the tenth of a second; another seed gives another."""
    assert plan(seed, seconds) == plan(seed, seconds)
    assert plan(seed, seconds) != plan(seed + 1, seconds)


@patient
@given(SEEDS)
def test_targets_take_turns(seed: int) -> None:
    """Neither of two workers is spared."""
    hit = Counter(fault.target for fault in plan(seed, FULL_RUN_SECONDS) if fault.kind.killed == "worker")

    assert hit[Resource.WORKER_A] >= 2
    assert hit[Resource.WORKER_B] >= 2


def test_too_short_a_run_is_refused() -> None:
    """Rather than a run that can't count."""
    with pytest.raises(ValueError, match="expected 120 s or more"):
        plan(1, 20.0)


def _durations(faults: tuple[Planned, ...]) -> list[tuple[float, float, float]]:
    return [(fault.kind.shortest, fault.seconds, fault.kind.longest) for fault in faults]


@patient
@given(SEEDS, st.sampled_from([120.0, 600.0]))
def test_faults_last_as_their_kind_says(seed: int, seconds: float) -> None:
    """Neither shorter nor longer."""
    assert all(shortest <= drawn <= longest for shortest, drawn, longest in _durations(plan(seed, seconds)))
