"""The script `untracked` on a real server: what a receipt by a task that isn't tracked counts, and when it ends."""

import pytest

from ferry_shared.ledger.group_view import view_ledgers
from ferry_shared.ledger.untracked import Obstacle, Untracked
from ferry_shared.ledger.worker_ledger import Receipt, Recorded
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, OTHER_LEDGER, LedgerProbe

ERROR = "untracked: why"
TASK = "plain: Ordnung\x00"


@pytest.fixture(autouse=True)
def _two_entries(ledger: LedgerProbe) -> None:
    ledger.own()
    ledger.dispatch(["0", "1"])


def receive(ledger: LedgerProbe, member: str, task: str = TASK, token: str = FIRST_TOKEN, of: str = LEDGER) -> Receipt:
    """A message of `member` comes to a task that isn't tracked."""
    header = ledger.task(member, token, ledger=of)
    return ledger.worker.untracked(header, task, Obstacle.UNTRACKED, max_claims=2, error=ERROR)


def counted(ledger: LedgerProbe) -> dict[str, int]:
    """What a look at the ledger tells."""
    (view,) = view_ledgers(ledger.client, "", ledger.group, [ledger.place])
    return {found.task: found.count for found in view.untracked}


def test_each_receipt_counts_as_a_start_and_by_the_tasks_name(ledger: LedgerProbe) -> None:
    """The last one ends the entry: the consumer is asked for its dead letter."""
    before = ledger.now_ms()
    assert (receive(ledger, "0"), ledger.state("0")["claims"], ledger.attention()) == (Receipt.COUNTED, 1, {})
    assert receive(ledger, "1", "other") is Receipt.COUNTED
    assert receive(ledger, "0") is Receipt.COUNTED
    assert receive(ledger, "0") is Receipt.FAILED
    due = ledger.due("0")
    assert (due.error, due.claims) == (ERROR, 3)
    assert counted(ledger) == {TASK: 3, "other": 1}
    (view,) = view_ledgers(ledger.client, "", ledger.group, [ledger.place])
    (first, _) = view.untracked
    assert first == Untracked("other", 1, first.last_ms)
    assert before <= first.last_ms <= ledger.now_ms()


def test_a_batch_counts_each_of_its_messages(ledger: LedgerProbe) -> None:
    """It comes as one, and is told by messages."""
    ledger.dispatch(["2-6-3"])
    assert (receive(ledger, "2-6-3"), ledger.state("2-6-3")["claims"]) == (Receipt.COUNTED, 1)
    assert counted(ledger) == {TASK: 3}


def test_a_task_that_is_not_known_is_counted_apart(ledger: LedgerProbe) -> None:
    """One worker's app may not know what another one's has as a plain task; together they are the message's starts."""
    header = ledger.task("0", FIRST_TOKEN)
    receive(ledger, "0")
    assert ledger.worker.untracked(header, TASK, Obstacle.UNKNOWN, max_claims=2, error=ERROR) is Receipt.COUNTED
    assert ledger.worker.untracked(header, TASK, Obstacle.UNKNOWN, max_claims=2, error=ERROR) is Receipt.FAILED
    (view,) = view_ledgers(ledger.client, "", ledger.group, [ledger.place])
    assert [(found.obstacle, found.task, found.count) for found in view.untracked] == [
        (Obstacle.UNTRACKED, TASK, 1),
        (Obstacle.UNKNOWN, TASK, 2),
    ]


def test_after_a_lost_worker_it_counts_and_the_entry_is_free(ledger: LedgerProbe) -> None:
    """A lease that is over doesn't hold it, and is gone afterwards."""
    ledger.claim_with_a_lease_that_is_over("0")
    assert receive(ledger, "0") is Receipt.COUNTED
    assert ("owner" in ledger.state("0"), ledger.state("0")["claims"]) == (False, 2)
    assert ledger.claim("0").claims == 3


def test_what_is_in_other_hands_changes_nothing(ledger: LedgerProbe) -> None:
    """Running, failed, done, of another attempt, of another ledger."""
    ledger.claim("0")
    before = ledger.dump()
    assert receive(ledger, "0") is Receipt.BUSY
    assert receive(ledger, "0", token="1.2") is Receipt.STALE
    assert receive(ledger, "0", of=OTHER_LEDGER) is Receipt.STALE
    assert receive(ledger, "7") is Receipt.GONE
    assert ledger.dump() == before
    assert ledger.outcome("fail", "0") is Recorded.RECORDED
    assert receive(ledger, "0") is Receipt.GONE
    ledger.call("DEL", ledger.keys.head)
    assert receive(ledger, "1") is Receipt.NO_LEDGER
    assert counted(ledger) == {}


def test_a_count_that_can_not_be_read_begins_anew(ledger: LedgerProbe) -> None:
    """Somebody else's value stops nothing, and no count is lost for the other tasks."""
    ledger.call("HSET", ledger.keys.head, f"untracked:{TASK}", "many", "untracked:other", "7:1")
    assert counted(ledger) == {"other": 7}
    assert receive(ledger, "0") is Receipt.COUNTED
    assert counted(ledger) == {TASK: 1, "other": 7}
