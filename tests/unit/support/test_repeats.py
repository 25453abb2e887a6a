"""What a loss of Redis' data explains, and what it doesn't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.repeats import AtRisk, Counts, Origin, is_explained

KINDS = st.sampled_from(["text", "retry", "fail"])
COUNTS = st.builds(Counts, *[st.integers(0, 6)] * 4)


@pytest.mark.parametrize(
    ("counts", "kind", "losses", "explained"),
    [
        (Counts(1, 1, 1, 0), "text", 0, True),
        (Counts(2, 2, 1, 0), "retry", 0, True),
        (Counts(1, 1, 0, 1), "fail", 0, True),
        (Counts(2, 1, 1, 0), "text", 0, False),
        (Counts(1, 2, 1, 0), "text", 0, False),
        (Counts(1, 0, 1, 0), "text", 0, False),
        (Counts(1, 1, 1, 0), "retry", 0, False),
        (Counts(1, 1, 2, 0), "text", 0, False),
        (Counts(1, 1, 0, 2), "fail", 0, False),
        (Counts(1, 1, 1, 0), "text", 1, True),
        (Counts(2, 2, 2, 0), "text", 1, True),
        (Counts(4, 4, 2, 0), "retry", 1, True),
        (Counts(2, 2, 0, 2), "fail", 1, True),
        (Counts(3, 2, 2, 0), "text", 1, False),
        (Counts(2, 3, 2, 0), "text", 1, False),
        (Counts(2, 2, 3, 0), "text", 1, False),
        (Counts(2, 2, 0, 3), "fail", 1, False),
        (Counts(5, 4, 2, 0), "retry", 1, False),
    ],
)
def test_what_a_number_of_losses_explains(counts: Counts, kind: str, losses: int, explained: bool) -> None:
    """Each loss repeats a message once, with its retry; without one nothing is repeated and nothing is left out."""
    assert is_explained(counts, kind, losses) is explained


@given(COUNTS, KINDS, st.integers(0, 3))
def test_one_loss_more_explains_no_less(counts: Counts, kind: str, losses: int) -> None:
    """What few losses can have done, more can have done."""
    assert is_explained(counts, kind, losses + 1) or not is_explained(counts, kind, losses)


@given(COUNTS, KINDS, st.integers(0, 3), st.integers(0, 3))
def test_one_repetition_more_is_no_better_explained(counts: Counts, kind: str, losses: int, place: int) -> None:
    """Beyond what the kind needs without a loss, every count can only become too large."""
    more = counts._replace(**{Counts._fields[place]: counts[place] + 1})
    needs_it = losses == 0 and not is_explained(counts, kind, 0)
    assert is_explained(counts, kind, losses) or needs_it or not is_explained(more, kind, losses)


@pytest.mark.parametrize(
    ("number", "origin", "included"),
    [
        (9, Origin(0, 5), True),
        (10, Origin(0, 5), False),
        (9, Origin(0, 4), False),
        (0, Origin(0, 7), True),
        (0, Origin(1, 7), False),
    ],
)
def test_at_risk_is_what_was_sent_before_and_not_committed(number: int, origin: Origin, included: bool) -> None:
    """In the partitions that have lost something, and only there."""
    assert AtRisk({0: 5}, sent=10).includes(number, origin) is included
