"""Without one protection of batches a history breaks the promise that it protects."""

from collections.abc import Sequence

import pytest

import ferry_worker.batch_run
from ferry_shared.ledger.singles import Single
from ferry_shared.ledger.worker_ledger import Recorded
from ferry_worker.attempt import Attempt
from tests.contract.model import test_batch_histories as histories
from tests.contract.model.simulated_log import Kind
from tests.contract.model.system import System
from tests.contract.model.test_negative_controls import NEVER, History, breaks, weaken


def crash(system: System) -> None:
    """A message kills its process."""
    histories.test_what_becomes_of_a_batch(system, [Kind.OK, Kind.CRASHES, Kind.OK], 0, 0)


def fail(system: System) -> None:
    """A message fails."""
    histories.test_what_becomes_of_a_batch(system, [Kind.FAILS, Kind.OK, Kind.OK], 0, 0)


@pytest.mark.parametrize(
    ("promise", "names", "protection", "instead", "history"),
    [
        pytest.param(
            "DISPATCH", "divide", "tonumber(offset) > tonumber(batch.progress or -1)", "true",
            histories.test_a_batch_whose_message_vanished_is_divided_above_its_progress,
            id="a division from the beginning",
        ),
        pytest.param(
            "DISPATCH", "divide", "not is_stranded(", "false and not is_stranded(",
            histories.test_a_worker_that_wakes_between_two_looks,
            id="a division without a second look",
        ),
        pytest.param(
            "DISPATCH", "split", "remove_entry(ARGV[2])", "",
            histories.test_a_split_whose_reply_is_lost_is_not_repeated,
            id="a batch that can be split twice",
        ),
        pytest.param(
            "EXECUTION", "progress", "state.owner ~= owner", NEVER,
            histories.test_a_worker_that_has_lost_its_batch_says_nothing_more,
            id="progress of somebody else",
        ),
        pytest.param(
            "COMMIT", "progress", "tonumber(ARGV[5])))", "tonumber(ARGV[5]) + 1))",
            histories.test_a_batch_whose_message_vanished_is_divided_above_its_progress,
            id="progress beyond what has run",
        ),
        pytest.param(
            "END", "divide", "tonumber(offset) > tonumber(batch.progress or -1)", "true",
            lambda system: histories.test_a_batch_that_is_given_up_fails_as_a_whole(system, 2),
            id="dead letters of what is done",
        ),
        pytest.param(
            "END", "claim", "'run', state.claims", "'run', 1",
            crash,
            id="a batch that is run again as a batch",
        ),
    ],
)  # fmt: skip
def test_without_a_protection_in_a_script(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    promise: str,
    names: str,
    protection: str,
    instead: str,
    history: History,
) -> None:
    """Each of these conditions is needed."""
    weaken(monkeypatch, names, protection, instead)
    breaks(history, promise, redis_url, monkeypatch, histories.BATCH_SIZE)


def test_a_worker_that_tells_nothing_in_between(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, it would repeat the whole batch; and it would not hear that the batch is another's."""
    monkeypatch.setattr(ferry_worker.batch_run, "PROGRESS_EVERY_SECONDS", 60)
    breaks(
        histories.test_a_killed_worker_repeats_what_it_had_not_told,
        "EXECUTION",
        redis_url,
        monkeypatch,
        histories.BATCH_SIZE,
    )


def test_a_progress_without_the_messages_that_failed(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be covered by it, and never become dead letters."""
    progress = Attempt.progress

    def without(attempt: Attempt, done_up_to: int | None, _singles: Sequence[Single]) -> Recorded:
        return progress(attempt, done_up_to, [])

    monkeypatch.setattr(Attempt, "progress", without)
    breaks(fail, "COMMIT", redis_url, monkeypatch, histories.BATCH_SIZE)
