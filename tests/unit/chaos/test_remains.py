"""What may be left once everything has drained."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.drain import Drained, rest_of
from tests.chaos.oracle.remains import MAY_REMAIN, leftovers, must_remain
from tests.unit.chaos.harness import GOOD_RUN

OFFSETS = st.dictionaries(st.integers(0, 5), st.integers(0, 3))


def test_the_keys_that_remain_are_named() -> None:
    """Heads, status, schedule; and what kombu may keep."""
    keys = tuple(must_remain(2))

    assert set(keys) == {
        "ferry:{ferry:chaos:0}:head", "ferry:{ferry:chaos:1}:head", "ferry:status:ferry",
        "ferry:beat:ferry:ferry_worker",
    }  # fmt: skip
    assert list(leftovers(replace(GOOD_RUN, partitions=2, keys_left=keys))) == []
    assert list(leftovers(replace(GOOD_RUN, partitions=2, keys_left=(*keys, *MAY_REMAIN)))) == []


@pytest.mark.parametrize(
    "key",
    [
        "ferry:{ferry:chaos:0}:state", "ferry:{ferry:chaos:0}:inflight", "ferry:{ferry:chaos:1}:head",
        "ferry:{ferry:other:0}:head", "ferry:pause:ferry", "ferry:status:other", "ferry:beat:ferry:other", "celery",
        "unacked", "unacked_index", "chaos-probe", "_kombu.binding.other", "ferry.status2",
    ],
)  # fmt: skip
def test_keys_that_should_be_gone_fail_the_run(key: str) -> None:
    """An entry, a queue, a pause, a head of a partition that there never was."""
    (problem,) = leftovers(replace(GOOD_RUN, keys_left=(*GOOD_RUN.keys_left, key)))

    assert problem == f"Redis still holds 1 keys that should be gone: {key}"


def test_keys_that_are_missing_fail_the_run() -> None:
    """A partition without a ledger at the end is one that nobody serves."""
    (problem,) = leftovers(replace(GOOD_RUN, partitions=2))

    assert problem == "Redis lacks 1 keys that should be there: ferry:{ferry:chaos:1}:head"


def test_the_drain_has_an_end_and_a_limit() -> None:
    """Something left; nothing left, and too late."""
    for drained, sentence in (
        (Drained(9.0, 30.0, "3 queued", 0.0), "it did not drain: 3 queued after 9 s"),
        (Drained(31.0, 30.0, "", 0.0), "it took 31 s to drain, expected 30 s at most"),
    ):
        assert list(leftovers(replace(GOOD_RUN, drained=drained))) == [sentence]
    assert list(leftovers(replace(GOOD_RUN, drained=Drained(30.0, 30.0, "", 0.0)))) == []


def test_partitions_do_not_make_up_for_each_other() -> None:
    """Two behind in one, two beyond the log in another: not drained."""
    assert rest_of({0: 5, 1: 5}, {0: 3, 1: 7}, 0, 0) == "2 not committed, 2 committed beyond the log"
    assert rest_of({0: 5}, {0: 5}, 4, 1) == "4 queued, 1 not acknowledged"
    assert rest_of({0: 5, 1: 0}, {0: 5}, 0, 0) == ""


@given(OFFSETS, OFFSETS)
def test_only_equal_offsets_are_drained(ends: Mapping[int, int], committed: Mapping[int, int]) -> None:
    """In every partition; a partition without messages needs no commit."""
    equal = {**dict.fromkeys(ends, 0), **committed} == ends

    assert (rest_of(ends, committed, 0, 0) == "") is equal
