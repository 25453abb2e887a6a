"""The ledger on a server that is full: nothing comes in, everything in flight can end, and so the queue drains."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferry_console.local.valkey import LocalValkey
from ferry_shared.ledger import consumer_ledger
from tests.support.ledger_probe import LedgerProbe


@pytest.fixture
def full(tmp_path: Path, group: str, topic: str) -> Iterator[LedgerProbe]:
    """A ledger with eight tasks in flight, two of them claimed, on a server of its own whose memory is used up."""
    server = LocalValkey(tmp_path / "valkey")
    server.start()
    server.wait_ready()
    try:
        with LedgerProbe(server.url, group, topic) as probe:
            probe.own()
            probe.dispatch([str(offset) for offset in range(8)])
            for member in ("0", "1"):
                probe.claim(member)
            probe.call("CONFIG", "SET", "maxmemory", "1mb")
            yield probe
    finally:
        server.stop()


def test_dispatch_is_refused_and_writes_nothing(full: LedgerProbe) -> None:
    """A dispatch into a full server fails as a whole."""
    before = full.dump()

    with pytest.raises(Exception, match="maxmemory"):
        full.dispatch(["8"], {"9": "not JSON"})
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
    assert full.own(8, committed=1).entries == 7
    full.assert_counts_match()
