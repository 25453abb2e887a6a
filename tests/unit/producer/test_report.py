"""The end of a run: exit code, sentence, JSON."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_producer.account import Account
from ferry_producer.report import DRY_RUN, UNCONFIRMED, End, document, exit_code, sentence
from ferry_producer.undelivered import UndeliveredFile

if TYPE_CHECKING:
    from pathlib import Path

FINISHED = End(finished=True, stopped_by=None, seconds=10.0)


def account(failed: int = 0, unsent: int = 0, invalid: int = 0, acknowledged: int = 5) -> Account:
    """An account with these counts."""
    made = Account(acknowledged=acknowledged, invalid=invalid, unsent=unsent)
    made.failures.update({"silence": failed} if failed else {})
    return made


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
    assert exit_code(account(*counts), End(finished, stopped_by, 1.0)) == code


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_zero_means_everything(acknowledged: int, failed: int, unsent: int, invalid: int) -> None:
    """Exit code 0 and a message that is not acknowledged never come together."""
    code = exit_code(account(failed, unsent, invalid, acknowledged), FINISHED)
    assert (code == 0) == (failed == unsent == invalid == 0)


def test_to_stop_at_an_invalid_line_is_bad_input() -> None:
    """What was read behind it is left because of it; a message that Kafka did not take is worse."""
    stopped = End(finished=False, stopped_by=None, seconds=1.0)
    assert exit_code(account(unsent=7, invalid=1), stopped, stop_at_invalid=True) == 1
    assert exit_code(account(failed=1, unsent=7, invalid=1), stopped, stop_at_invalid=True) == 3
    assert exit_code(account(unsent=7), stopped, stop_at_invalid=True) == 3


def test_a_line_that_is_in_no_file_is_not_acknowledged(tmp_path: Path) -> None:
    """Whoever reads the file believes that nothing else is left."""
    with UndeliveredFile(tmp_path / "left") as file:
        whole = Account(file, acknowledged=5, invalid=1)
        assert exit_code(whole, FINISHED) == 1
        file.failed = 1
        assert exit_code(whole, FINISHED) == 3


def test_sentence() -> None:
    """One line tells what was acknowledged, what not and why, and how fast."""
    made = account(failed=3, unsent=2, invalid=1, acknowledged=1_000_000)
    assert sentence(made, FINISHED) == (
        "1,000,000 messages acknowledged, 3 failed, in 10.00 s (100,000/s); 3 not acknowledged: silence; "
        "2 messages read and not sent; 1 line invalid and not sent"
    )
    assert (
        sentence(account(acknowledged=1), End(True, None, 0.0)) == "1 message acknowledged, 0 failed, in 0.00 s (0/s)"
    )


def test_the_sentence_tells_latencies() -> None:
    """Where they are known."""
    made = account(acknowledged=2)
    made.latencies.add([0.002])
    made.latencies.add([1.5])
    assert "; latency p50 2.0 ms, p95 1,491 ms, p99 1,491 ms, max 1,491 ms" in sentence(made, FINISHED)


@pytest.mark.parametrize("word", [UNCONFIRMED, DRY_RUN])
def test_nothing_is_called_acknowledged_that_is_not(word: str) -> None:
    """With acks=0 Kafka confirms nothing, in a dry run it isn't even asked."""
    told = sentence(account(acknowledged=2), End(True, None, 1.0, word))
    assert told.startswith(f"2 messages {word}, 0 failed")
    assert "acknowledged" not in told


def test_the_document_has_all_of_it() -> None:
    """For scripts."""
    made = account(failed=3, unsent=2, invalid=1)
    made.last_line = 11
    end = End(finished=False, stopped_by=signal.SIGINT, seconds=1.23456)
    assert json.loads(json.dumps(document(made, end, 3))) == {
        "acknowledged": 5,
        "failed": 3,
        "failures": {"silence": 3},
        "invalid": 1,
        "unsent": 2,
        "last_line": 11,
        "undelivered": None,
        "unkept": 0,
        "finished": False,
        "signal": "SIGINT",
        "seconds": 1.235,
        "latency_ms": {},
        "exit_code": 3,
    }
