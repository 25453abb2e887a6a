"""When nearly everything is invalid: the window against a plain model, and the verdict on a drain."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_consumer.dead_letter_limit import DeadLetterLimit, InvalidWindow
from ferry_shared.ledger.consumer_ledger import Ownership
from ferry_shared.ledger.dispatches import Dispatch, Invalid, Queued
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition

DRAINS = st.lists(st.lists(st.booleans(), min_size=1, max_size=40), max_size=60)


@given(drains=DRAINS, run=st.integers(1, 1_000))
def test_a_window_counts_the_last_records(drains: list[list[bool]], run: int) -> None:
    """Exactly some number of the last ones: all of them at first, then at least the run, and never a drain more."""
    window, seen = InvalidWindow(run), list[bool]()
    for drain in drains:
        window.add(len(drain), sum(drain))
        seen += drain
        largest = max(run // 100, *map(len, drains))
        assert min(run, len(seen)) <= window.records < run + largest
        assert window.invalid == sum(seen[len(seen) - window.records :])


@given(seed=st.integers(0, 2**32), run=st.integers(100, 600))
def test_a_window_of_many_small_drains_counts_right_and_stays_small(seed: int, run: int) -> None:
    """They are counted together, and leave the window together."""
    random, window, seen = Random(seed), InvalidWindow(run), list[bool]()
    for _ in range(700):
        drain = [random.random() < 0.5 for _ in range(random.randint(1, 3))]
        window.add(len(drain), sum(drain))
        seen += drain
        assert window.invalid == sum(seen[len(seen) - window.records :])
    assert run <= window.records < run + max(run // 100, 3)
    assert len(window) <= 203


@pytest.mark.parametrize(
    ("records", "invalid", "exceeds"), [(99, 99, False), (100, 89, False), (100, 90, True), (100, 100, True)]
)
def test_the_limit_needs_a_full_run_and_the_ratio(records: int, invalid: int, exceeds: bool) -> None:
    """Ninety of a hundred is nearly all; ninety-nine records are too few to judge by."""
    window = InvalidWindow(100)
    window.add(records, invalid)
    assert window.exceeds(0.9) is exceeds


def drained(valid: int, errors: Sequence[str], partition: int = 0) -> Dispatch:
    """What was taken from a partition at once."""
    place = TopicPartition("orders", partition)
    return Dispatch(
        place, LedgerKeys.of("", "ferry", place), "celery", Ownership("ledger", 1), 0, 0, 0,
        [Queued(str(number), b"") for number in range(valid)],
        [Invalid(str(valid + number), error) for number, error in enumerate(errors)],
    )  # fmt: skip


def test_an_excess_names_the_commonest_reason_with_an_example() -> None:
    """From the drain that went past the limit, all its partitions together."""
    limit = DeadLetterLimit(0.5, 4)
    assert limit.exceeded_by("orders", [drained(1, [])]) is None
    calls = [drained(1, ["empty: no value"]), drained(0, ["invalid: text", "invalid: name"], partition=3)]
    excess = limit.exceeded_by("orders", calls)
    assert excess is not None
    assert (excess.records, excess.invalid, excess.reason) == (4, 3, "invalid")
    assert (excess.place, excess.member) == (TopicPartition("orders", 3), "0")


def test_topics_are_judged_apart() -> None:
    """One broken sender stops its own topic."""
    limit = DeadLetterLimit(1.0, 2)
    assert limit.exceeded_by("orders", [drained(0, ["a: b"])]) is None
    assert limit.exceeded_by("invoices", [drained(0, ["a: b"])]) is None
    assert limit.exceeded_by("orders", [drained(0, ["a: b"])]) is not None


def test_a_drain_without_an_invalid_record_is_never_too_much() -> None:
    """What holds valid records back must be the fault of invalid ones among them."""
    limit = DeadLetterLimit(0.4, 4)
    assert limit.exceeded_by("orders", [drained(2, ["a: b"])]) is None
    assert limit.exceeded_by("orders", [drained(0, ["a: b"])]) is not None
    assert limit.exceeded_by("orders", [drained(1, [])]) is None


def test_a_resumed_topic_starts_anew() -> None:
    """What was counted before the pause no longer counts."""
    limit = DeadLetterLimit(0.9, 4)
    assert limit.exceeded_by("orders", [drained(0, ["a: b"] * 4)]) is not None
    limit.start_anew("orders")
    assert limit.exceeded_by("orders", [drained(0, ["a: b"] * 3)]) is None
    assert limit.exceeded_by("orders", [drained(0, ["a: b"])]) is not None


def test_a_run_of_zero_switches_it_off() -> None:
    """Whoever wants every record as a dead letter gets them."""
    limit = DeadLetterLimit(0.1, 0)
    assert limit.exceeded_by("orders", [drained(0, ["a: b"] * 10_000)]) is None
