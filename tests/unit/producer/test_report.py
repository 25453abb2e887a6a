"""The account of a run: counts, exit code, sentence."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.delivery import Delivered, Undelivered
from ferry_producer.report import Tally, exit_code, sentence

DELIVERED = Delivered("messages", 0, 1)
OUTCOMES = st.sampled_from([DELIVERED, Undelivered("too large", refused=True), Undelivered("silence", refused=False)])


@given(st.lists(OUTCOMES))
def test_every_outcome_counts_once(outcomes: list[Delivered | Undelivered]) -> None:
    """Acknowledged and failed add up, and only a message nobody answered makes Kafka silent."""
    tally = Tally()
    for outcome in outcomes:
        tally.settle(outcome)
    assert tally.acknowledged == outcomes.count(DELIVERED)
    assert tally.acknowledged + tally.failed == len(outcomes)
    assert tally.silent == (Undelivered("silence", refused=False) in outcomes)


@pytest.mark.parametrize(
    ("counts", "stopped_by", "finished", "code"),
    [
        ((0, 0, 0), None, True, 0),
        ((1, 0, 0), None, True, 3),
        ((0, 1, 0), None, True, 3),
        ((0, 0, 1), None, True, 1),
        ((1, 0, 1), None, True, 3),
        ((0, 0, 0), signal.SIGINT, False, 130),
        ((0, 0, 0), signal.SIGTERM, False, 143),
        ((0, 0, 1), signal.SIGTERM, False, 143),
        ((1, 0, 0), signal.SIGINT, False, 3),
        ((0, 0, 0), signal.SIGINT, True, 0),
        ((0, 0, 1), signal.SIGINT, True, 1),
        ((0, 0, 0), None, False, 1),
    ],
)
def test_exit_code(counts: tuple[int, int, int], stopped_by: signal.Signals | None, finished: bool, code: int) -> None:
    """0 only when everything given is acknowledged; the worst thing decides (counts: failed, unsent, invalid)."""
    failed, unsent, invalid = counts
    tally = Tally(acknowledged=5, invalid=invalid, unsent=unsent)
    tally.failures.update({"silence": failed})
    assert exit_code(tally, stopped_by, finished=finished) == code


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_zero_means_everything(acknowledged: int, failed: int, unsent: int, invalid: int) -> None:
    """Exit code 0 and a message that is not acknowledged never come together."""
    tally = Tally(acknowledged=acknowledged, invalid=invalid, unsent=unsent)
    tally.failures.update({"silence": failed})
    assert (exit_code(tally, None, finished=True) == 0) == (failed == unsent == invalid == 0)


def test_sentence() -> None:
    """One line tells what was acknowledged, what not and why, and how fast."""
    tally = Tally(acknowledged=1_000_000, invalid=1, unsent=2)
    tally.failures.update({"silence": 3})
    assert sentence(tally, 10, confirmed=True) == (
        "1,000,000 messages acknowledged, 3 failed, in 10.00 s (100,000/s); 3 not acknowledged: silence; "
        "2 messages read and not sent; 1 line invalid and not sent"
    )
    assert sentence(Tally(acknowledged=1), 0, confirmed=True) == "1 message acknowledged, 0 failed, in 0.00 s (0/s)"


def test_nothing_is_called_acknowledged_without_acks() -> None:
    """With acks=0 Kafka confirms nothing, and the sentence doesn't say so."""
    assert sentence(Tally(acknowledged=2), 1, confirmed=False).startswith("2 messages handed to Kafka, unconfirmed")
