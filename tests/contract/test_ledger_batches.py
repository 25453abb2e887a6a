"""The scripts `progress` and `split` on a real server: a batch's worker says how far it is, and lets go of the rest."""

from collections.abc import Callable

import pytest

from ferry_shared.ledger.keys import batch_member
from ferry_shared.ledger.singles import FailedSingle, QueuedSingle, RetriedSingle, Single
from ferry_shared.ledger.worker_ledger import Claimed, Recorded, Verdict
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, MINUTE_MS, OTHER_LEDGER, OTHER_OWNER, OWNER, LedgerProbe

BATCH = "10-19-8"
LATER = "1.2"
#: Beyond what a double tells apart from its neighbours when it is printed with 14 digits, as cjson does.
HIGH = 10**15 + 7


@pytest.fixture(autouse=True)
def _a_batch_in_hand(ledger: LedgerProbe) -> None:
    ledger.own(10)
    ledger.dispatch([BATCH, "20"])
    ledger.claim(BATCH)


def failed(offset: int) -> FailedSingle:
    """A message that has failed."""
    return FailedSingle(offset, f"ValueError: {offset}", b"payload of %d" % offset)


def retried(offset: int, delay_ms: int = MINUTE_MS) -> RetriedSingle:
    """A message that is to run again later."""
    return RetriedSingle(offset, delay_ms, b"next of %d" % offset)


def queued(offset: int) -> QueuedSingle:
    """A message that is to run again now."""
    return QueuedSingle(offset, b"message of %d" % offset)


def progress(
    ledger: LedgerProbe,
    done_up_to: int | None,
    *singles: Single,
    token: str = FIRST_TOKEN,
    owner: str = OWNER,
    of: str = LEDGER,
) -> Recorded:
    """Say how far the batch is."""
    return ledger.worker.progress(ledger.task(BATCH, token, ledger=of), owner, done_up_to, singles)


def split(
    ledger: LedgerProbe,
    *singles: Single,
    token: str = FIRST_TOKEN,
    owner: str = OWNER,
    of: str = LEDGER,
) -> Recorded:
    """End the batch."""
    return ledger.worker.split(ledger.task(BATCH, token, ledger=of), owner, ledger.queue, 0, singles)


CALLS: dict[str, Callable[..., Recorded]] = {
    "progress": lambda ledger, **who: progress(ledger, 12, failed(11), **who),
    "the end": lambda ledger, **who: progress(ledger, None, failed(11), **who),
    "split": lambda ledger, **who: split(ledger, failed(11), queued(12), **who),
}
EACH_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def test_progress_is_kept_with_the_claim(ledger: LedgerProbe) -> None:
    """The batch stays in flight under its lease, and whoever claims it next is told how far it was."""
    before = ledger.state(BATCH)

    assert progress(ledger, 13) is Recorded.RECORDED
    assert ledger.state(BATCH) == before | {"progress": "13"}
    assert ledger.attention() == {BATCH: before["lease"]}
    assert ledger.members() == [BATCH, "20"]
    assert ledger.claim(BATCH).progress == 13
    ledger.assert_counts_match()


def test_before_any_progress_a_claim_tells_none(ledger: LedgerProbe) -> None:
    """Offset 0 may be the first message of a batch, so 0 would be something else."""
    assert ledger.claim(BATCH).progress is None


def test_what_failed_is_an_entry_of_its_own_at_once(ledger: LedgerProbe) -> None:
    """Under the batch's token, with its start, its error and its payload, due for its dead letter; no message comes."""
    before, messages = ledger.now_ms(), ledger.queued()

    assert progress(ledger, 12, failed(10), failed(12)) is Recorded.RECORDED
    assert ledger.members() == ["10", BATCH, "12", "20"]
    state = ledger.state("12")
    assert (state["error"], state["token"], state["claims"]) == ("ValueError: 12", FIRST_TOKEN, 1)
    assert ledger.stored_payload("12") == b"payload of 12"
    assert before <= ledger.attention()["12"] <= ledger.now_ms()
    assert {due.member: due.error for due in ledger.snapshot().due} == {
        "10": "ValueError: 10",
        "12": "ValueError: 12",
    }
    assert ledger.queued() == messages
    assert ledger.clear("12") is True
    ledger.assert_counts_match()


def test_what_retries_waits_by_itself(ledger: LedgerProbe) -> None:
    """As the next attempt: nothing of it was queued or claimed yet, and when it is due it is queued with its token."""
    assert progress(ledger, 12, retried(12, 0), retried(11)) is Recorded.RECORDED
    state = ledger.state("11")
    assert (state["token"], state["copy"], state["claims"], state["deliveries"]) == (LATER, 0, 0, 0)
    assert ledger.attention()["11"] == state["due"] >= ledger.now_ms() + MINUTE_MS - 5_000
    due = ledger.due("12")
    assert (due.token, due.retry_due, due.payload) == (LATER, True, b"next of 12")
    assert ledger.enqueue(due) is True
    assert ledger.claim("12", LATER, OTHER_OWNER).claims == 1
    ledger.assert_counts_match()


def test_progress_never_goes_back(ledger: LedgerProbe) -> None:
    """A call that comes late, of a worker that has said more since, takes nothing back and adds nothing."""
    progress(ledger, 15, failed(14))
    before = ledger.dump()

    assert progress(ledger, 12, failed(11)) is Recorded.RECORDED
    assert ledger.state(BATCH)["progress"] == "15"
    assert ledger.dump() == before


def test_progress_whose_reply_was_lost(ledger: LedgerProbe) -> None:
    """The same call again changes nothing; with more, only what is new comes in."""
    progress(ledger, 12, failed(11), retried(12))
    before = ledger.dump()

    assert progress(ledger, 12, failed(11), retried(12)) is Recorded.RECORDED
    assert ledger.dump() == before
    ledger.clear("11")
    assert progress(ledger, 14, failed(11), retried(12), failed(13)) is Recorded.RECORDED
    assert ledger.members() == [BATCH, "12", "13", "20"]
    assert ledger.state("12")["token"] == LATER
    ledger.assert_counts_match()


def test_the_end_takes_the_whole_batch(ledger: LedgerProbe) -> None:
    """All its messages are done, but for those that go on; of the batch nothing is left."""
    progress(ledger, 11)

    assert progress(ledger, None, failed(19)) is Recorded.RECORDED
    assert ledger.members() == ["19", "20"]
    assert ledger.members_with_state() == {"19"}
    assert ledger.attention().keys() == {"19"}
    assert ledger.snapshot().lowest == 19
    assert ledger.counts().messages == 2
    ledger.assert_counts_match()


@pytest.mark.parametrize("ending", ["the end", "split"])
def test_an_end_whose_reply_was_lost(ledger: LedgerProbe, ending: str) -> None:
    """It is gone: nothing comes in twice, and nothing is queued twice."""
    assert CALLS[ending](ledger) is Recorded.RECORDED
    before = ledger.dump()

    assert CALLS[ending](ledger) is Recorded.GONE
    assert ledger.dump() == before


def test_split_queues_what_has_not_run(ledger: LedgerProbe) -> None:
    """In order, as later attempts that were queued now; the batch is gone, and so is its copy wherever it is."""
    before = ledger.now_ms()
    ledger.call("DEL", ledger.queue)

    assert split(ledger, failed(11), retried(12), *map(queued, range(13, 20))) is Recorded.RECORDED
    assert ledger.members() == [*map(str, range(11, 21))]
    assert ledger.queued() == [b"message of %d" % offset for offset in range(13, 20)]
    state = ledger.state("13")
    assert {name: state[name] for name in ("token", "copy", "claims", "deliveries")} == {
        "token": LATER, "copy": 1, "claims": 0, "deliveries": 1,
    }  # fmt: skip
    assert before <= state["enqueued"] <= ledger.now_ms()
    assert ledger.attention().keys() == {"11", "12"}
    assert ledger.claim(BATCH).verdict == "gone"
    assert ledger.claim("13", FIRST_TOKEN).verdict == "stale"
    assert ledger.claim("13", LATER).verdict == "run"
    assert ledger.snapshot().lowest == 11
    ledger.assert_counts_match()


def test_split_passes_over_what_was_recorded(ledger: LedgerProbe) -> None:
    """A worker whose last progress was recorded though its reply was lost says those again."""
    ledger.call("DEL", ledger.queue)
    progress(ledger, 13, failed(12))

    assert split(ledger, failed(12), queued(13), queued(14)) is Recorded.RECORDED
    assert ledger.members() == ["12", "14", "20"]
    assert ledger.queued() == [b"message of 14"]
    assert ledger.state("12")["error"] == "ValueError: 12"
    ledger.assert_counts_match()


def test_split_of_a_batch_with_nothing_left(ledger: LedgerProbe) -> None:
    """It only ends."""
    messages = ledger.queued()
    assert split(ledger) is Recorded.RECORDED
    assert (ledger.members(), ledger.queued()) == (["20"], messages)
    ledger.assert_counts_match()


def test_split_goes_to_the_list_of_its_priority(ledger: LedgerProbe) -> None:
    """kombu keeps a list for each step of the priority."""
    task = ledger.task(BATCH)
    assert ledger.worker.split(task, OWNER, ledger.queue, 6, [queued(10)]) is Recorded.RECORDED
    assert ledger.call("LRANGE", f"{ledger.queue}\x06\x166", 0, -1) == [b"message of 10"]


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 2_500])
def test_a_split_of_any_size(ledger: LedgerProbe, count: int) -> None:
    """Lua can't unpack thousands of arguments at once; the order stays."""
    ledger.call("DEL", ledger.queue)
    assert split(ledger, *(queued(100 + offset) for offset in range(count))) is Recorded.RECORDED
    assert ledger.queued() == [b"message of %d" % (100 + offset) for offset in range(count)]
    assert ledger.counts().messages == count + 1
    ledger.assert_counts_match()


def test_a_token_beyond_nine(ledger: LedgerProbe) -> None:
    """The attempt is a number, whatever its digits."""
    ledger.own(21, committed=10, epoch_floor=122)
    ledger.dispatch(["30-31-2"])
    ledger.claim("30-31-2", "123.1")
    assert ledger.worker.progress(ledger.task("30-31-2", "123.1"), OWNER, None, [retried(30, 0)]) == "recorded"
    assert ledger.due("30").token == "123.2"


@EACH_CALL
def test_an_entry_that_is_there_stays_as_it_is(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """However it came there: offset 11 is in flight as another record."""
    ledger.own(11, committed=10)
    ledger.dispatch(["11", "12"], messages=[b"new 11", b"new 12"])
    messages = [message for message in ledger.queued() if message.startswith(b"new")]

    assert call(ledger) is Recorded.RECORDED
    assert {"11", "12"} <= set(ledger.members())
    assert ledger.members_with_state() <= {BATCH}
    assert [ledger.claim(member, "2.1", OTHER_OWNER).verdict for member in ("11", "12")] == ["run", "run"]
    assert ledger.queued()[-2:] == messages
    ledger.assert_counts_match()


@EACH_CALL
def test_what_does_not_count_writes_nothing(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """Another owner, another attempt, another ledger."""
    before = ledger.dump()

    assert call(ledger, owner=OTHER_OWNER) is Recorded.NOT_OWNER
    assert call(ledger, token=LATER) is Recorded.STALE
    assert call(ledger, token="2.1") is Recorded.STALE
    assert call(ledger, of=OTHER_LEDGER) is Recorded.STALE
    assert ledger.dump() == before


@EACH_CALL
def test_a_worker_that_was_overtaken(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """It stalled past its lease, and another one has claimed the batch; without that its word still counts."""
    ledger.claim_with_a_lease_that_is_over(BATCH)
    taken = ledger.claim(BATCH, owner=OTHER_OWNER)

    assert (taken.verdict, taken.claims) == ("run", 2)
    assert call(ledger) is Recorded.NOT_OWNER
    assert call(ledger, owner=OTHER_OWNER) is Recorded.RECORDED


@EACH_CALL
def test_a_lease_that_is_over_and_that_nobody_took(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """What it says is true all the same."""
    ledger.claim_with_a_lease_that_is_over(BATCH)
    assert call(ledger) is Recorded.RECORDED
    ledger.assert_counts_match()


@EACH_CALL
def test_a_batch_that_has_failed_is_gone(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """An operator has skipped it, or nobody can run it: its consumer has it now."""
    ledger.outcome("fail", BATCH)
    before = ledger.dump()

    assert call(ledger) is Recorded.GONE
    assert ledger.dump() == before


@EACH_CALL
def test_without_a_head(ledger: LedgerProbe, call: Callable[..., Recorded]) -> None:
    """After a FLUSHALL nothing is made up."""
    ledger.client.flushall()

    assert call(ledger) is Recorded.NO_LEDGER
    assert ledger.dump() == {}


@EACH_CALL
@pytest.mark.parametrize("stored", ["{", '{"token": "1.1"}', '{"progress": 7}', "null"])
def test_a_state_that_can_not_be_read(ledger: LedgerProbe, call: Callable[..., Recorded], stored: str) -> None:
    """What the batch has done is unknown: it has failed, and its consumer sees to it; nothing else is written."""
    ledger.call("HSET", ledger.keys.state, BATCH, stored)
    messages = ledger.queued()

    assert call(ledger) is Recorded.GONE
    assert (ledger.due(BATCH).error or "").startswith("damaged-state: ")
    assert (ledger.members(), ledger.queued()) == ([BATCH, "20"], messages)
    ledger.assert_counts_match()


def test_a_progress_that_is_no_number(ledger: LedgerProbe) -> None:
    """It is damage like any other."""
    progress(ledger, 12)
    stored = ledger.call("HGET", ledger.keys.state, BATCH).decode()
    ledger.call("HSET", ledger.keys.state, BATCH, stored.replace('"12"', '"twelve"'))

    assert progress(ledger, 13) is Recorded.GONE
    assert (ledger.due(BATCH).error or "").startswith("damaged-state: ")


def test_a_claim_tells_what_a_truncation_has_left(ledger: LedgerProbe) -> None:
    """The others' offsets are other records' now."""
    assert ledger.claim(BATCH) == Claimed(Verdict.RUN, 1)
    progress(ledger, 11)
    ledger.own(15, committed=10, drop_from=15)

    claimed = ledger.claim(BATCH)
    assert claimed == Claimed(Verdict.RUN, 1, progress=11, below=15)
    assert [offset for offset in range(10, 20) if claimed.leaves(offset)] == [12, 13, 14]


def test_an_end_of_a_truncated_batch_that_is_no_number(ledger: LedgerProbe) -> None:
    """So is this."""
    ledger.own(15, committed=10, drop_from=15)
    stored = ledger.call("HGET", ledger.keys.state, BATCH).decode()
    ledger.call("HSET", ledger.keys.state, BATCH, stored.replace('"15"', '"fifteen"'))

    assert progress(ledger, 13, failed(11)) is Recorded.GONE
    assert (ledger.due(BATCH).error or "").startswith("damaged-state: ")


def test_split_into_what_is_no_queue(ledger: LedgerProbe) -> None:
    """Refused before anything is written: the batch is still there."""
    ledger.call("DEL", ledger.queue)
    ledger.call("SET", ledger.queue, "somebody else's")
    before = ledger.dump()

    with pytest.raises(Exception, match="WRONGTYPE"):
        split(ledger, queued(12))
    assert ledger.dump() == before


@pytest.mark.parametrize("first", [HIGH, 2**53 - 20])
def test_high_offsets_keep_every_digit(ledger: LedgerProbe, first: int) -> None:
    """Member, progress, and those that go on."""
    offsets = [first + number for number in range(5)]
    member = batch_member(offsets)
    ledger.own(first, committed=10)
    ledger.dispatch([member])
    task = ledger.task(member, "2.1")
    ledger.claim(member, "2.1")

    assert ledger.worker.progress(task, OWNER, offsets[1], [failed(offsets[1])]) == "recorded"
    assert ledger.worker.progress(task, OWNER, offsets[2], [failed(offsets[1]), failed(offsets[2])]) == "recorded"
    assert ledger.claim(member, "2.1").progress == offsets[2]
    assert ledger.worker.split(task, OWNER, ledger.queue, 0, [queued(offset) for offset in offsets]) == "recorded"
    assert ledger.members()[2:] == [str(offset) for offset in offsets[1:]]
    assert ledger.queued()[-2:] == [b"message of %d" % offset for offset in offsets[3:]]
    ledger.assert_counts_match()


def test_a_batch_is_never_poison(ledger: LedgerProbe) -> None:
    """One message must not end the others with it, however often it has killed its worker: the worker splits them."""
    ledger.outcome("release", BATCH)
    for owner in ("second", "third", "fourth", "fifth"):
        ledger.claim_with_a_lease_that_is_over(BATCH, owner=owner)
    claimed = ledger.claim(BATCH, owner="sixth", max_claims=2)
    assert (claimed.verdict, claimed.claims) == ("run", 6)


def test_a_batch_that_was_released_tells_its_second_claim(ledger: LedgerProbe) -> None:
    """By that the worker knows that it must not run it together; its progress is still there."""
    progress(ledger, 12)
    ledger.outcome("release", BATCH)
    claimed = ledger.claim(BATCH, owner=OTHER_OWNER)
    assert (claimed.verdict, claimed.claims, claimed.progress) == ("run", 2, 12)
