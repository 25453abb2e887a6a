"""The scripts `done`, `fail`, `retry` and `release` on a real server."""

import pytest

from ferry_shared.ledger.worker_ledger import Recorded
from tests.support.ledger_probe import MINUTE_MS, OTHER_LEDGER, OTHER_OWNER, OWNER, LedgerProbe

OUTCOMES = ["done", "fail", "retry", "release"]


@pytest.fixture(autouse=True)
def _two_entries_one_claimed(ledger: LedgerProbe) -> None:
    ledger.own()
    ledger.dispatch(["0", "1"])
    ledger.claim("0")


def test_done_removes_the_entry(ledger: LedgerProbe) -> None:
    """Of a task that is done nothing is left."""
    assert ledger.outcome("done", "0") is Recorded.RECORDED
    assert ledger.members() == ["1"]
    assert (ledger.members_with_state(), ledger.attention()) == (set(), {})
    ledger.assert_counts_match()


def test_done_of_a_batch_takes_all_its_messages(ledger: LedgerProbe) -> None:
    """The message count falls by what the batch held."""
    ledger.dispatch(["2-9-5"])
    ledger.claim("2-9-5")

    assert ledger.outcome("done", "2-9-5") is Recorded.RECORDED
    assert (ledger.counts().entries, ledger.counts().messages) == (2, 2)
    ledger.assert_counts_match()


def test_fail_keeps_the_entry_for_its_dead_letter(ledger: LedgerProbe) -> None:
    """A failure has its error and payload, needs attention now, and is held by nobody."""
    before = ledger.now_ms()

    assert ledger.worker.fail(ledger.task("0"), OWNER, "ValueError: é \x1b", bytes(range(256))) is Recorded.RECORDED
    state = ledger.state("0")
    assert (state["error"], state["claims"], state["token"]) == ("ValueError: é \x1b", 1, "1.1")
    assert not {"owner", "lease"} & state.keys()
    assert ledger.stored_payload("0") == bytes(range(256))
    assert before <= ledger.attention()["0"] <= ledger.now_ms()
    assert ledger.members() == ["0", "1"]
    ledger.assert_counts_match()


def test_retry_raises_the_attempt(ledger: LedgerProbe) -> None:
    """A retry has a new token, no copy and no claim yet, its message, and is due after its delay."""
    before = ledger.now_ms()

    assert ledger.worker.retry(ledger.task("0"), OWNER, MINUTE_MS, b"changed") is Recorded.RECORDED
    state = ledger.state("0")
    assert (state["token"], state["copy"], state["claims"], state["deliveries"]) == ("1.2", 0, 0, 0)
    assert not {"owner", "lease", "error"} & state.keys()
    assert ledger.stored_payload("0") == b"changed"
    assert before + MINUTE_MS <= state["due"] <= ledger.now_ms() + MINUTE_MS
    assert ledger.attention()["0"] == state["due"]
    ledger.assert_counts_match()


def test_after_a_retry_the_old_token_is_stale(ledger: LedgerProbe) -> None:
    """A second copy of the attempt that asked for the retry does not run."""
    ledger.outcome("retry", "0")

    assert ledger.claim("0", "1.1", OTHER_OWNER).verdict == "stale"
    assert ledger.claim("0", "1.2", OTHER_OWNER).verdict == "run"


def test_attempts_are_counted_beyond_nine(ledger: LedgerProbe) -> None:
    """Each retry raises the attempt by one, whatever its number of digits."""
    ledger.outcome("retry", "0")
    for attempt in range(2, 12):
        ledger.claim("0", f"1.{attempt}")
        assert ledger.outcome("retry", "0", f"1.{attempt}") is Recorded.RECORDED

    assert ledger.state("0")["token"] == "1.12"


def test_release_gives_up_the_lease_and_keeps_the_count(ledger: LedgerProbe) -> None:
    """The copy that is requeued can be claimed at once; the claim still counts, so that a killer task ends."""
    assert ledger.outcome("release", "0") is Recorded.RECORDED
    assert ledger.attention() == {}
    assert "owner" not in ledger.state("0")

    claimed = ledger.claim("0", owner=OTHER_OWNER)
    assert (claimed.verdict, claimed.claims) == ("run", 2)


def test_release_lets_a_killer_task_end_as_poison(ledger: LedgerProbe) -> None:
    """Claimed and released again and again, a task that kills its process is poison in the end."""
    ledger.outcome("release", "0")
    ledger.claim("0", owner="second")
    ledger.outcome("release", "0", owner="second")

    assert ledger.claim("0", owner="third", max_claims=2).verdict == "poison"


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_owner_whose_lease_is_over_can_still_record(ledger: LedgerProbe, name: str) -> None:
    """As long as nobody else has claimed it a late outcome counts."""
    ledger.claim_with_a_lease_that_is_over("1")

    assert ledger.outcome(name, "1") is Recorded.RECORDED


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize(
    ("before", "told"), [("done", Recorded.GONE), ("fail", Recorded.GONE), ("retry", Recorded.STALE)]
)
def test_an_attempt_that_has_ended_records_nothing_more(
    ledger: LedgerProbe, name: str, before: str, told: Recorded
) -> None:
    """After done or fail its entry is gone, after retry the attempt is an older one: so a call can be repeated."""
    ledger.outcome(before, "0")
    left = ledger.dump()

    assert ledger.outcome(name, "0") is told
    assert ledger.dump() == left


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_task_of_another_ledger_is_stale(ledger: LedgerProbe, name: str) -> None:
    """An outcome from before Redis lost the ledger does not count for the new one."""
    before = ledger.dump()

    assert ledger.outcome(name, "0", ledger=OTHER_LEDGER) is Recorded.STALE
    assert ledger.dump() == before


@pytest.mark.parametrize("name", OUTCOMES)
def test_somebody_who_is_not_the_owner(ledger: LedgerProbe, name: str) -> None:
    """Only the owner of the lease records an outcome, also of an entry that nobody has claimed."""
    before = ledger.dump()

    assert ledger.outcome(name, "0", owner=OTHER_OWNER) is Recorded.NOT_OWNER
    assert ledger.outcome(name, "1") is Recorded.NOT_OWNER
    assert ledger.dump() == before


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_owner_that_was_overtaken(ledger: LedgerProbe, name: str) -> None:
    """A worker that stalled past its lease, so that another one runs the task, records nothing."""
    ledger.claim_with_a_lease_that_is_over("1")
    ledger.claim("1", owner=OTHER_OWNER)

    assert ledger.outcome(name, "1") is Recorded.NOT_OWNER
    assert ledger.outcome("done", "1", owner=OTHER_OWNER) is Recorded.RECORDED


@pytest.mark.parametrize("name", OUTCOMES)
def test_without_a_head(ledger: LedgerProbe, name: str) -> None:
    """After a FLUSHALL an outcome is told that there is no ledger, and makes none."""
    ledger.client.flushall()

    assert ledger.outcome(name, "0") is Recorded.NO_LEDGER
    assert ledger.dump() == {}
