"""The account of a run: each line ends once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.account import Account
from ferry_producer.delivery import Delivered, Undelivered
from ferry_producer.lines import Line
from ferry_producer.undelivered import UndeliveredFile

if TYPE_CHECKING:
    from pathlib import Path

DELIVERED = Delivered("messages", 0, 1, 0.25)
REFUSED, SILENCE = Undelivered("too large", refused=True), Undelivered("silence", refused=False)
OUTCOMES = st.sampled_from([DELIVERED, REFUSED, SILENCE])


def settle(account: Account, line: Line, outcome: Delivered | Undelivered) -> None:
    """Tell the account one outcome."""
    if isinstance(outcome, Delivered):
        account.acknowledge([outcome.latency_seconds])
    else:
        account.fail(line, outcome)


@given(st.lists(OUTCOMES))
def test_every_outcome_counts_once(outcomes: list[Delivered | Undelivered]) -> None:
    """Acknowledged and failed add up, and only a message nobody answered makes Kafka silent."""
    account = Account()
    for outcome in outcomes:
        settle(account, Line(1, b"a"), outcome)
    assert account.acknowledged == outcomes.count(DELIVERED)
    assert account.handed_over == len(outcomes)
    assert account.silent == (SILENCE in outcomes)


def test_each_line_that_is_not_acknowledged_is_kept(tmp_path: Path) -> None:
    """As it was read, in the order in which its end was known; one that is too long was not kept while it was read."""
    with UndeliveredFile(tmp_path / "left") as file:
        account = Account(file)
        settle(account, Line(1, b"acknowledged"), DELIVERED)
        settle(account, Line(2, b"refused"), REFUSED)
        account.refuse(Line(3, b"invalid"), "no text")
        account.refuse(Line(4, None), "longer than 16777216 bytes")
        account.leave([Line(5, b"unsent"), Line(6, b"too")])
        account.cut(b"beg")
    assert (tmp_path / "left").read_bytes() == b"refused\ninvalid\nunsent\ntoo\nbeg"
    assert (account.acknowledged, account.failed, account.invalid, account.unsent) == (1, 1, 2, 2)


def test_a_line_that_is_cut_is_told_where_it_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """It is gone from the pipe."""
    account = Account(last_line=7)
    account.cut(b"beg")
    assert "the beginning of line 8 was read and is not sent" in caplog.text


def test_latencies_are_those_of_acknowledged_messages() -> None:
    """As Kafka's client measured them."""
    account = Account()
    settle(account, Line(1, b"a"), DELIVERED)
    settle(account, Line(2, b"a"), SILENCE)
    assert account.latencies.milliseconds(0.5) == pytest.approx((250,), rel=0.02)
