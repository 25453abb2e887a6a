"""The script `divide` on a real server: the consumer ends a batch that failed as a whole, or whose message vanished."""

from collections.abc import Callable

import pytest

from ferry_shared.ledger.keys import batch_member
from ferry_shared.ledger.redelivery import Stranded, Transport, stranded
from ferry_shared.ledger.singles import Divided, DividedBatch, FailedSingle, QueuedSingle, Single, divide
from ferry_shared.ledger.skipping import skip
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, OWNER, LedgerProbe, wait_until

AGE_MS = 5
BATCH = "10-19-8"
LATER = "1.2"
UNACKED = "unacked-of-this-test"
TAG = f"{LEDGER}/topic-0-{BATCH}@group/{FIRST_TOKEN}.1"
OFFSETS = (10, 11, 12, 13, 14, 15, 16, 19)


def transport(ledger: LedgerProbe) -> Transport:
    """Where this ledger's messages are."""
    return Transport(ledger.queue, UNACKED, "topic-0-", "@group")


def queued(offset: int) -> QueuedSingle:
    """A message that is to run again."""
    return QueuedSingle(offset, b"message of %d" % offset)


def failed(offset: int) -> FailedSingle:
    """A message that has failed with its batch."""
    return FailedSingle(offset, "untracked: why", b"")


ALL_QUEUED = tuple(map(queued, OFFSETS))
ALL_FAILED = tuple(map(failed, OFFSETS))


def divided(
    ledger: LedgerProbe,
    *singles: Single,
    failed: bool = False,
    member: str = BATCH,
    token: str = FIRST_TOKEN,
    copy: int = 1,
) -> DividedBatch:
    """Divide the batch."""
    return divide(
        ledger.client, ledger.keys, transport(ledger), ledger.ownership, Stranded(member, token, copy, b""),
        age_ms=AGE_MS, failed=failed, singles=singles,
    )  # fmt: skip


def vanished(ledger: LedgerProbe) -> DividedBatch:
    """As Redelivery divides it."""
    return divided(ledger, *ALL_QUEUED)


def failed_as_a_whole(ledger: LedgerProbe) -> DividedBatch:
    """As Attention divides it."""
    return divided(ledger, *ALL_FAILED, failed=True)


def age(ledger: LedgerProbe) -> None:
    """Wait by the server's clock until what was queued is old enough."""
    until = ledger.now_ms() + AGE_MS
    wait_until(lambda: ledger.now_ms() > until)


@pytest.fixture(autouse=True)
def _a_batch_whose_message_is_nowhere(ledger: LedgerProbe) -> None:
    ledger.own(10)
    ledger.dispatch([BATCH, "20"])
    ledger.call("DEL", ledger.queue)
    age(ledger)


def test_what_vanished_is_queued_one_by_one(ledger: LedgerProbe) -> None:
    """In order, as later attempts: the batch's own message is gone should it turn up."""
    assert vanished(ledger) == DividedBatch(Divided.DIVIDED, queued=8, failed=0)
    assert ledger.members() == [*map(str, OFFSETS), "20"]
    assert ledger.queued() == [single.celery_message for single in ALL_QUEUED]
    assert ledger.attention() == {}
    assert ledger.claim(BATCH).verdict == "gone"
    assert ledger.claim("19", FIRST_TOKEN).verdict == "stale"
    assert (ledger.claim("19", LATER).verdict, ledger.state("19")["copy"]) == ("run", 1)
    assert ledger.snapshot().lowest == 10
    ledger.assert_counts_match()


def test_what_failed_fails_one_by_one(ledger: LedgerProbe) -> None:
    """Each is due for its dead letter, with the batch's error and starts."""
    ledger.claim(BATCH)
    ledger.outcome("fail", BATCH)

    assert failed_as_a_whole(ledger) == DividedBatch(Divided.DIVIDED, queued=0, failed=8)
    due = ledger.snapshot().due
    assert [(found.member, found.error, found.token, found.claims) for found in due] == [
        (str(offset), "untracked: why", FIRST_TOKEN, 1) for offset in OFFSETS
    ]
    assert ledger.members_with_state() == set(map(str, OFFSETS))
    assert ledger.queued() == []
    for offset in OFFSETS:
        assert ledger.clear(str(offset)) is True
    assert (ledger.members(), ledger.snapshot().dead_letters) == (["20"], 8)
    ledger.assert_counts_match()


def test_some_of_them_may_fail(ledger: LedgerProbe) -> None:
    """Those that the route's model now refuses, or that Kafka no longer has."""
    assert divided(ledger, queued(10), failed(11), queued(12)) == DividedBatch(Divided.DIVIDED, queued=2, failed=1)
    assert [due.member for due in ledger.snapshot().due] == ["11"]
    assert len(ledger.queued()) == 2
    ledger.assert_counts_match()


def test_what_its_worker_has_recorded_stays_as_it_is(ledger: LedgerProbe) -> None:
    """Up to its progress nothing runs again; what had failed by itself keeps its own error."""
    ledger.claim_with_a_lease_that_is_over(BATCH)
    own = FailedSingle(11, "ValueError: its own", b"payload")
    assert ledger.worker.progress(ledger.task(BATCH), OWNER, 13, [own]) == "recorded"
    age(ledger)

    assert vanished(ledger) == DividedBatch(Divided.DIVIDED, queued=4, failed=0, done_up_to=13)
    assert ledger.members() == ["11", "14", "15", "16", "19", "20"]
    assert ledger.due("11").error == "ValueError: its own"
    ledger.assert_counts_match()


def test_a_batch_of_which_kafka_has_nothing(ledger: LedgerProbe) -> None:
    """It ends; the caller counts what is lost."""
    assert divided(ledger) == DividedBatch(Divided.DIVIDED)
    assert ledger.members() == ["20"]
    ledger.assert_counts_match()


@pytest.mark.parametrize("call", [vanished, failed_as_a_whole])
def test_a_reply_that_was_lost(ledger: LedgerProbe, call: Callable[[LedgerProbe], DividedBatch]) -> None:
    """Asked again it is gone, and nothing comes in twice."""
    if call is failed_as_a_whole:
        ledger.claim(BATCH)
        ledger.outcome("fail", BATCH)
    call(ledger)
    before = ledger.dump()

    assert call(ledger) == DividedBatch(Divided.GONE)
    assert ledger.dump() == before


def test_what_an_operator_skipped_meanwhile_is_not_queued(ledger: LedgerProbe) -> None:
    """Between the two looks for its message it has failed: that is what counts."""
    skip(ledger.client, ledger.keys, BATCH, "skipped: by alice")
    before = ledger.dump()

    assert vanished(ledger) == DividedBatch(Divided.STALE)
    assert ledger.dump() == before
    assert failed_as_a_whole(ledger).failed == 8


def test_only_what_has_failed_fails(ledger: LedgerProbe) -> None:
    """A consumer that is wrong about it changes nothing."""
    before = ledger.dump()
    assert failed_as_a_whole(ledger) == DividedBatch(Divided.STALE)
    assert ledger.dump() == before


def _claim(ledger: LedgerProbe) -> None:
    ledger.claim(BATCH)


def _take(ledger: LedgerProbe) -> None:
    ledger.call("HSET", UNACKED, TAG, "taken")
    ledger.call("ZADD", f"{UNACKED}_index", 1, TAG)


def _wait_in_the_queue(ledger: LedgerProbe) -> None:
    ledger.call("RPUSH", ledger.queue, '{"headers": {"ferry": {"enqueued_ms": 1}}}')


def _somebody_elses(ledger: LedgerProbe) -> None:
    ledger.call("RPUSH", ledger.queue, '{"headers": {}}')


@pytest.mark.parametrize("there", [_claim, _take, _wait_in_the_queue, _somebody_elses])
def test_what_has_not_vanished_is_left_alone(ledger: LedgerProbe, there: Callable[[LedgerProbe], None]) -> None:
    """The second look: a worker runs it or has taken it, or it may still wait in the queue."""
    there(ledger)
    before = ledger.dump()

    assert vanished(ledger) == DividedBatch(Divided.STALE)
    assert ledger.dump() == before


def test_what_was_queued_just_now_is_left_alone(ledger: LedgerProbe) -> None:
    """Its message may be on its way."""
    ledger.dispatch(["30-31-2"])
    ledger.call("DEL", ledger.queue)
    entry = Stranded("30-31-2", FIRST_TOKEN, 1, b"")
    before = ledger.dump()

    told = divide(
        ledger.client, ledger.keys, transport(ledger), ledger.ownership, entry,
        age_ms=60_000, failed=False, singles=[queued(30)],
    )  # fmt: skip
    assert told == DividedBatch(Divided.STALE)
    assert ledger.dump() == before


def test_its_tag_is_taken_out_of_unacked(ledger: LedgerProbe) -> None:
    """Without a place in kombu's index nobody would ever bring it back, and it would stay there for ever."""
    ledger.call("HSET", UNACKED, TAG, "taken", "another", "taken")

    assert vanished(ledger).outcome is Divided.DIVIDED
    assert ledger.call("HKEYS", UNACKED) == [b"another"]


def test_another_copy_or_attempt_is_stale(ledger: LedgerProbe) -> None:
    """What was found is not what is there."""
    before = ledger.dump()
    assert divided(ledger, *ALL_QUEUED, token=LATER) == DividedBatch(Divided.STALE)
    assert divided(ledger, *ALL_QUEUED, copy=2) == DividedBatch(Divided.STALE)
    assert ledger.dump() == before


@pytest.mark.parametrize("why", ["other ledger", "older epoch", "later epoch"])
def test_who_does_not_own_the_ledger_is_refused(ledger: LedgerProbe, why: str) -> None:
    """Another consumer has the partition."""
    before = ledger.dump()
    assert vanished(ledger.as_other(ledger.stale_owners()[why])) == DividedBatch(Divided.REFUSED)
    assert ledger.dump() == before


def test_without_a_head(ledger: LedgerProbe) -> None:
    """Nothing is made up."""
    ledger.client.flushall()
    assert vanished(ledger) == DividedBatch(Divided.NO_LEDGER)
    assert ledger.dump() == {}


def test_into_what_is_no_queue(ledger: LedgerProbe) -> None:
    """Refused before anything is written."""
    ledger.call("SET", ledger.queue, "somebody else's")
    before = ledger.dump()
    with pytest.raises(Exception, match="WRONGTYPE"):
        vanished(ledger)
    assert ledger.dump() == before


@pytest.mark.parametrize("stored", ["{", '{"token": "1.1"}', "[]"])
def test_a_state_that_can_not_be_read_is_a_failure(ledger: LedgerProbe, stored: str) -> None:
    """What of it has run is unknown: nothing is queued again, and each of its messages becomes a dead letter."""
    ledger.call("HSET", ledger.keys.state, BATCH, stored)

    assert vanished(ledger) == DividedBatch(Divided.STALE)
    assert (ledger.due(BATCH).error or "").startswith("damaged-state: ")
    assert failed_as_a_whole(ledger).failed == 8
    assert BATCH not in ledger.members_with_state()
    ledger.assert_counts_match()


def test_what_a_truncation_took_is_passed_over(ledger: LedgerProbe) -> None:
    """The log was truncated inside the batch, and has grown again: what stands there now isn't the batch's."""
    ledger.own(12, committed=10, drop_from=12)
    ledger.call("DEL", ledger.queue)
    age(ledger)

    assert vanished(ledger) == DividedBatch(Divided.DIVIDED, queued=2, failed=0, below=12)
    assert ledger.members()[:2] == ["10", "11"]
    assert "12" not in ledger.members()
    ledger.assert_counts_match()


def test_an_entry_that_is_there_stays_as_it_is(ledger: LedgerProbe) -> None:
    """However it came there."""
    ledger.claim_with_a_lease_that_is_over(BATCH)
    ledger.own(12, committed=10)
    ledger.dispatch(["12", "13"])
    ledger.call("DEL", ledger.queue)
    age(ledger)

    assert vanished(ledger) == DividedBatch(Divided.DIVIDED, queued=6, failed=0)
    assert ledger.claim("12", "2.1").verdict == "run"
    assert b"message of 12" not in ledger.queued()
    ledger.assert_counts_match()


def test_high_offsets_keep_every_digit(ledger: LedgerProbe) -> None:
    """Beyond what cjson prints exactly."""
    offsets = [10**15 + 7 + number for number in range(4)]
    member = batch_member(offsets)
    ledger.own(offsets[0], committed=10)
    ledger.dispatch([member])
    ledger.call("DEL", ledger.queue)
    ledger.claim_with_a_lease_that_is_over(member, "2.1")
    ledger.worker.progress(ledger.task(member, "2.1"), OWNER, offsets[1], ())
    age(ledger)

    told = divided(ledger, *map(queued, offsets), member=member, token="2.1")
    assert told == DividedBatch(Divided.DIVIDED, queued=2, failed=0, done_up_to=offsets[1])
    assert ledger.members()[2:] == [str(offset) for offset in offsets[2:]]
    assert ledger.state(str(offsets[3]))["token"] == "2.2"
    ledger.assert_counts_match()


def test_a_batch_is_found_behind_its_first_message(ledger: LedgerProbe) -> None:
    """They have one score: where a piece of the ledger (2,000 entries) ends between them, the next begins there."""
    ledger.dispatch([*map(str, range(100, 2_097)), "3000-3002-3"])
    ledger.claim_with_a_lease_that_is_over("3000-3002-3")
    single = FailedSingle(3_000, "ValueError: no", b"")
    assert ledger.worker.progress(ledger.task("3000-3002-3"), OWNER, 3_000, [single]) == "recorded"
    assert ledger.members()[1_999:2_001] == ["3000", "3000-3002-3"]
    ledger.call("DEL", ledger.queue)
    age(ledger)

    look = stranded(ledger.client, ledger.keys, transport(ledger), ledger.ownership, age_ms=AGE_MS, limit=5_000)
    assert look.entries[-1].member == "2096"
    look = stranded(
        ledger.client, ledger.keys, transport(ledger), ledger.ownership, age_ms=AGE_MS, limit=5_000, first=look.next
    )
    assert [entry.member for entry in look.entries] == ["3000-3002-3"]
