"""The ledger on a server that is full: nothing comes in, everything in flight can end, and so the queue drains."""

from collections.abc import Iterator

import pytest

from ferry_console.local.valkey import LocalValkey
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.redelivery import Stranded, Transport
from ferry_shared.ledger.singles import FailedSingle, QueuedSingle, RetriedSingle, Single, divide
from tests.support.ledger_probe import FIRST_TOKEN, OWNER, LedgerProbe


@pytest.fixture
def full(own_valkey: LocalValkey, group: str, topic: str) -> Iterator[LedgerProbe]:
    """A ledger with tasks and batches in flight, some claimed, on a server of its own whose memory is used up."""
    with LedgerProbe(own_valkey.url, group, topic) as probe:
        probe.own()
        probe.dispatch([str(offset) for offset in range(8)])
        for member in ("0", "1"):
            probe.claim(member)
        probe.dispatch(["10-15-6", "20-25-6", "30-35-6"])
        for member in ("10-15-6", "20-25-6"):
            probe.claim(member)
        probe.call("CONFIG", "SET", "maxmemory", "1mb")
        yield probe


def test_dispatch_is_refused_and_writes_nothing(full: LedgerProbe) -> None:
    """A dispatch into a full server fails as a whole."""
    before = full.dump()

    with pytest.raises(Exception, match="maxmemory"):
        full.dispatch(["38"], {"39": "not JSON"})
    assert full.dump() == before


def test_a_retry_is_not_queued_and_stays_due(full: LedgerProbe) -> None:
    """What can't be queued now is due again at the next snapshot."""
    full.outcome("retry", "0")
    due = full.due("0")
    before = full.dump()

    with pytest.raises(Exception, match="maxmemory"):
        full.enqueue(due)
    assert full.dump() == before


def test_tasks_run_and_end(full: LedgerProbe) -> None:
    """Claim, done, fail, retry and release work on a full server."""
    for member, name in zip(("2", "3", "4", "5"), ("done", "fail", "retry", "release"), strict=True):
        assert full.claim(member).verdict == "run"
        assert full.outcome(name, member) == "recorded"
    full.assert_counts_match()


def test_the_consumer_reads_commits_clears_and_acquires(full: LedgerProbe) -> None:
    """Inspect, snapshot, clear, committed and acquire work on a full server."""
    full.outcome("fail", "0")

    assert full.snapshot().lowest == 0
    assert full.clear("0") is True
    assert full.committed(1) is True
    assert full.inspect().condition is consumer_ledger.Condition.SOUND
    assert full.own(36, committed=1).entries == 10
    full.assert_counts_match()


def test_a_batch_says_how_far_it_is_and_ends(full: LedgerProbe) -> None:
    """With what has failed or retries by itself: its worker must get rid of it."""
    batch = full.task("10-15-6")
    singles: list[Single] = [FailedSingle(11, "ValueError: no", b"payload"), RetriedSingle(12, 0, b"next")]
    assert full.worker.progress(batch, OWNER, 13, singles) == "recorded"
    assert full.worker.progress(batch, OWNER, None, [RetriedSingle(15, 0, b"next")]) == "recorded"
    assert full.claim("30-35-6").verdict == "run"
    assert full.outcome("done", "30-35-6") == "recorded"
    assert set(full.members()) >= {"11", "12", "15", "20-25-6"}
    full.assert_counts_match()


def test_a_batch_is_not_split_or_divided(full: LedgerProbe) -> None:
    """Its messages would come into the queue: it stays as it is, and is found again when there is room."""
    full.outcome("fail", "10-15-6")
    full.outcome("release", "20-25-6")
    before = full.dump()

    with pytest.raises(RedisUnavailable, match="maxmemory"):
        full.worker.split(full.task("20-25-6"), OWNER, full.queue, 0, [QueuedSingle(20, b"message")])
    for member, failed in (("10-15-6", True), ("20-25-6", False)):
        transport = Transport(full.queue, "unacked", "topic-0-", "@group")
        with pytest.raises(RedisUnavailable, match="maxmemory"):
            divide(
                full.client, full.keys, transport, full.ownership, Stranded(member, FIRST_TOKEN, 1, b""),
                age_ms=0, failed=failed, singles=[QueuedSingle(20, b"message")],
            )  # fmt: skip
    assert full.dump() == before
