"""The script `claim` on a real server: each verdict, and what it leaves behind."""

import pytest

from ferry_shared.ledger.worker_ledger import Claimed, Verdict
from tests.support.ledger_probe import MINUTE_MS, OTHER_LEDGER, OTHER_OWNER, OWNER, LedgerProbe, wait_until


@pytest.fixture(autouse=True)
def _two_entries(ledger: LedgerProbe) -> None:
    ledger.own()
    ledger.dispatch(["0", "1"])


def test_a_queued_task_runs(ledger: LedgerProbe) -> None:
    """The first claim gets the task, writes its state, and asks for attention when the lease ends."""
    before = ledger.now_ms()

    assert ledger.claim("0", lease_ms=MINUTE_MS) == Claimed(Verdict.RUN, 1)
    state = ledger.state("0")
    assert (state["token"], state["owner"], state["claims"]) == ("1.1", OWNER, 1)
    assert (state["copy"], state["deliveries"]) == (1, 1)
    assert before + MINUTE_MS <= state["lease"] <= ledger.now_ms() + MINUTE_MS
    assert ledger.attention() == {"0": state["lease"]}
    assert 0 < state["enqueued"] <= before
    assert before <= state["claimed"] <= ledger.now_ms()


def test_the_same_owner_again_runs_and_counts_once(ledger: LedgerProbe) -> None:
    """An owner that asks twice has lost the first reply: its lease begins anew, its claim counts once."""
    ledger.claim("0", lease_ms=MINUTE_MS)

    claimed = ledger.state("0")["claimed"]
    wait_until(lambda: ledger.now_ms() > claimed)

    assert ledger.claim("0", lease_ms=2 * MINUTE_MS) == Claimed(Verdict.RUN, 1)
    assert ledger.state("0")["claimed"] == claimed
    assert ledger.attention()["0"] > ledger.now_ms() + MINUTE_MS


def test_while_another_owner_holds_it_a_task_is_busy(ledger: LedgerProbe) -> None:
    """A second copy does not run beside the first, and changes nothing."""
    ledger.claim("0")
    before = ledger.dump()

    assert ledger.claim("0", owner=OTHER_OWNER) == Claimed(Verdict.BUSY, 1)
    assert ledger.dump() == before


def test_when_the_lease_is_over_another_owner_runs_it(ledger: LedgerProbe) -> None:
    """A worker that vanished holds a task no longer than its lease; the second claim counts."""
    ledger.claim_with_a_lease_that_is_over("0")

    assert ledger.claim("0", owner=OTHER_OWNER) == Claimed(Verdict.RUN, 2)
    assert ledger.state("0")["owner"] == OTHER_OWNER


def test_the_same_owner_after_its_lease_runs_it(ledger: LedgerProbe) -> None:
    """A lease that is over and that nobody took can be taken again by its owner, still one claim."""
    ledger.claim_with_a_lease_that_is_over("0")

    assert ledger.claim("0") == Claimed(Verdict.RUN, 1)


def test_a_task_that_is_done_is_gone(ledger: LedgerProbe) -> None:
    """A copy that comes after the end does not run."""
    ledger.claim("0")
    ledger.outcome("done", "0")

    assert ledger.claim("0", owner=OTHER_OWNER) == Claimed(Verdict.GONE, 0)


def test_a_task_that_was_never_dispatched_is_gone(ledger: LedgerProbe) -> None:
    """A member that isn't in flight has nothing to run, and gets no state."""
    assert ledger.claim("7") == Claimed(Verdict.GONE, 0)
    assert ledger.members_with_state() == set()


def test_a_task_that_failed_is_gone(ledger: LedgerProbe) -> None:
    """While it waits for its dead letter a failed task does not run again."""
    ledger.claim("0")
    ledger.outcome("fail", "0")
    before = ledger.dump()

    assert ledger.claim("0", owner=OTHER_OWNER) == Claimed(Verdict.GONE, 1)
    assert ledger.dump() == before


@pytest.mark.parametrize("token", ["0.1", "2.1", "1.0", "1.2", "", "nonsense"])
def test_another_token_is_stale(ledger: LedgerProbe, token: str) -> None:
    """A copy of another epoch or attempt does not run, also before anything was claimed."""
    assert ledger.claim("0", token) == Claimed(Verdict.STALE, 0)
    ledger.claim("0")
    before = ledger.dump()
    assert ledger.claim("0", token) == Claimed(Verdict.STALE, 1)
    assert ledger.dump() == before


def test_a_copy_of_another_ledger_is_stale(ledger: LedgerProbe) -> None:
    """A copy from before Redis lost the ledger does not run as an entry of the new one."""
    assert ledger.claim("0", ledger=OTHER_LEDGER) == Claimed(Verdict.STALE, 0)


def test_a_rebalance_makes_no_copy_stale(ledger: LedgerProbe) -> None:
    """The head's epoch is not the entry's: it rises at every rebalance."""
    ledger.own(2, committed=0)

    assert ledger.claim("0", "1.1").verdict is Verdict.RUN


def test_without_a_head_there_is_no_ledger(ledger: LedgerProbe) -> None:
    """After a FLUSHALL no task runs and nothing is written: the consumer dispatches it again."""
    ledger.client.flushall()

    assert ledger.claim("0") == Claimed(Verdict.NO_LEDGER, 0)
    assert ledger.dump() == {}


def test_a_task_that_never_ends_is_poison(ledger: LedgerProbe) -> None:
    """One claim more than allowed without an outcome is told, to the same owner as often as it asks."""
    for claims in (1, 2):
        ledger.claim_with_a_lease_that_is_over("0", owner=f"owner-{claims}")

    assert ledger.claim("0", owner="third", max_claims=2) == Claimed(Verdict.POISON, 3)
    assert ledger.claim("0", owner="third", max_claims=2) == Claimed(Verdict.POISON, 3)
    assert ledger.outcome("fail", "0", owner="third") == "recorded"


def test_the_last_allowed_claim_runs(ledger: LedgerProbe) -> None:
    """`max_claims` claims are allowed."""
    ledger.claim_with_a_lease_that_is_over("0")

    assert ledger.claim("0", owner=OTHER_OWNER, max_claims=2) == Claimed(Verdict.RUN, 2)


def test_a_copy_that_the_transport_handed_back_is_counted(ledger: LedgerProbe) -> None:
    """How often the transport handed a copy back is kept in the head."""
    ledger.claim("0", restored=True)
    ledger.claim("1")

    assert ledger.head()["restored"] == "1"


def test_a_batch_is_claimed_by_its_member(ledger: LedgerProbe) -> None:
    """A batch has one lease for all its messages, and its token from its dispatch."""
    ledger.dispatch(["2-9-5"])

    assert ledger.claim("2-9-5") == Claimed(Verdict.RUN, 1)
    assert ledger.claim("2") == Claimed(Verdict.GONE, 0)
