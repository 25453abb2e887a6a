"""The scripts `enqueue` and `clear` on a real server."""

from dataclasses import replace

import pytest

from ferry_shared.ledger.consumer_ledger import Due
from tests.support.ledger_probe import MINUTE_MS, OTHER_OWNER, OWNER, LedgerProbe, payload_of

FIRST_COPY = Due("0", "1.1", copy=1, claims=0, deliveries=1, error=None, retry_due=False, payload=b"")


@pytest.fixture(autouse=True)
def _two_entries(ledger: LedgerProbe) -> None:
    ledger.own()
    ledger.dispatch(["0", "1"])


def retry_of_0(ledger: LedgerProbe, delay_ms: int = 0) -> None:
    """Let entry 0 ask for a retry."""
    ledger.claim("0")
    assert ledger.worker.retry(ledger.task("0"), OWNER, delay_ms, b"changed") == "recorded"


def test_a_retry_that_is_due_is_queued_once(ledger: LedgerProbe) -> None:
    """The next copy stands behind what is queued already; asked again with the same copy, nothing happens."""
    retry_of_0(ledger)
    due = ledger.due("0")

    assert ledger.enqueue(due, b"second attempt") is True
    assert ledger.enqueue(due, b"second attempt") is False
    assert ledger.queued() == [payload_of("0"), payload_of("1"), b"second attempt"]


def test_a_retry_that_is_queued_can_be_claimed(ledger: LedgerProbe) -> None:
    """After it is queued the entry needs no attention, waits for nothing, and runs with its new token."""
    retry_of_0(ledger)
    before = ledger.now_ms()
    ledger.enqueue(ledger.due("0"))

    state = ledger.state("0")
    assert (state["token"], state["copy"], state["deliveries"]) == ("1.2", 1, 1)
    assert "due" not in state
    assert before <= state["enqueued"] <= ledger.now_ms()
    assert ledger.attention() == {}
    assert ledger.claim("0", "1.2", OTHER_OWNER).verdict == "run"


def test_the_stored_message_outlives_the_queueing(ledger: LedgerProbe) -> None:
    """Should the retry fail for good, its payload is still there for a dead letter."""
    retry_of_0(ledger)
    ledger.enqueue(ledger.due("0"))

    assert ledger.stored_payload("0") == b"changed"


def test_an_entry_that_was_never_claimed_can_be_queued_again(ledger: LedgerProbe) -> None:
    """A copy that vanished is replaced by the next one with the same token."""
    assert ledger.enqueue(FIRST_COPY, b"copy 2") is True
    assert (ledger.state("0")["token"], ledger.state("0")["copy"], ledger.state("0")["deliveries"]) == ("1.1", 2, 2)
    assert ledger.queued()[-1] == b"copy 2"
    assert ledger.claim("0", "1.1").verdict == "run"


def test_an_entry_whose_lease_is_over_can_be_queued_again(ledger: LedgerProbe) -> None:
    """The claim of a worker that vanished is taken away, its count is kept."""
    ledger.claim_with_a_lease_that_is_over("0")

    assert ledger.enqueue(FIRST_COPY) is True
    assert "owner" not in ledger.state("0")
    assert ledger.outcome("done", "0") == "not-owner"
    claimed = ledger.claim("0", owner=OTHER_OWNER)
    assert (claimed.verdict, claimed.claims) == ("run", 2)


@pytest.mark.parametrize("change", [{"copy": 0}, {"copy": 2}, {"token": "1.2"}, {"token": "2.1"}], ids=str)
def test_what_has_moved_on_is_stale(ledger: LedgerProbe, change: dict[str, int | str]) -> None:
    """Another copy or token than the caller knows writes and queues nothing."""
    before = ledger.dump()

    assert ledger.enqueue(replace(FIRST_COPY, **change)) is False  # type: ignore[arg-type] # one field or the other
    assert ledger.dump() == before


def test_a_retry_before_its_time_is_not_queued(ledger: LedgerProbe) -> None:
    """The server's clock decides whether a retry is due."""
    retry_of_0(ledger, MINUTE_MS)
    before = ledger.dump()

    assert ledger.enqueue(replace(FIRST_COPY, token="1.2", copy=0)) is False
    assert ledger.dump() == before


def test_an_entry_under_a_live_lease_is_not_queued(ledger: LedgerProbe) -> None:
    """What somebody runs is not queued beside it."""
    ledger.claim("0")
    before = ledger.dump()

    assert ledger.enqueue(FIRST_COPY) is False
    assert ledger.dump() == before


def test_a_failed_entry_is_not_queued(ledger: LedgerProbe) -> None:
    """What waits for its dead letter is not run again."""
    ledger.claim("0")
    ledger.outcome("fail", "0")

    assert ledger.enqueue(ledger.due("0")) is False


def test_an_entry_that_is_gone_is_not_queued(ledger: LedgerProbe) -> None:
    """A retry that ended meanwhile, by another copy, is not queued."""
    ledger.claim("0")
    ledger.outcome("done", "0")
    before = ledger.dump()

    assert ledger.enqueue(FIRST_COPY) is False
    assert ledger.dump() == before


@pytest.mark.parametrize("who", ["other ledger", "older epoch", "later epoch"])
def test_another_owner_queues_and_clears_nothing(ledger: LedgerProbe, who: str) -> None:
    """A consumer that has lost the partition changes nothing."""
    other, before = ledger.as_other(ledger.stale_owners()[who]), ledger.dump()

    assert other.enqueue(FIRST_COPY) is False
    assert other.clear("0") is False
    assert ledger.dump() == before


def test_without_a_head_nothing_is_queued_or_cleared(ledger: LedgerProbe) -> None:
    """After a FLUSHALL neither script writes anything."""
    ledger.client.flushall()

    assert ledger.enqueue(FIRST_COPY) is False
    assert ledger.clear("0") is False
    assert ledger.dump() == {}


def test_clear_removes_a_failed_entry_and_counts_it(ledger: LedgerProbe) -> None:
    """Once its dead letter is written, nothing of a failed task is left but the count."""
    ledger.claim("0")
    ledger.outcome("fail", "0")

    assert ledger.clear("0") is True
    assert ledger.members() == ["1"]
    assert (ledger.members_with_state(), ledger.attention()) == (set(), {})
    assert ledger.snapshot().dead_letters == 1
    ledger.assert_counts_match()


def test_clear_removes_an_invalid_entry(ledger: LedgerProbe) -> None:
    """An invalid record is cleared with the token of its dispatch, and each is counted."""
    ledger.dispatch([], {"2": "not JSON", "3": "not JSON"})

    assert (ledger.clear("2"), ledger.clear("3")) == (True, True)
    assert ledger.snapshot().dead_letters == 2
    ledger.assert_counts_match()


def test_clear_of_a_batch_counts_its_messages(ledger: LedgerProbe) -> None:
    """Dead letters are counted as messages."""
    ledger.dispatch(["2-9-5"])
    ledger.claim("2-9-5")
    ledger.outcome("fail", "2-9-5")

    assert ledger.clear("2-9-5") is True
    assert ledger.snapshot().dead_letters == 5
    ledger.assert_counts_match()


def test_clear_twice_counts_once(ledger: LedgerProbe) -> None:
    """A dead letter that was written twice is one dead letter."""
    ledger.dispatch([], {"2": "not JSON"})

    assert (ledger.clear("2"), ledger.clear("2")) == (True, False)
    assert ledger.snapshot().dead_letters == 1


def test_clear_with_another_token_removes_nothing(ledger: LedgerProbe) -> None:
    """The dead letter of an older attempt does not end the present one."""
    ledger.dispatch([], {"2": "not JSON"})
    before = ledger.dump()

    assert ledger.clear("2", "1.2") is False
    assert ledger.clear("2", "2.1") is False
    assert ledger.dump() == before
