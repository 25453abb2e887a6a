"""Which of a real server's refusals pass by themselves."""

import pytest
import redis
from redis.exceptions import RedisError, ResponseError

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, is_passing, translated
from tests.support.ledger_probe import LedgerProbe


def refusal(client: redis.Redis, *words: str) -> RedisError:
    """What the server answers to a command that it refuses."""
    with pytest.raises(RedisError) as caught:
        client.execute_command(*words)
    return caught.value


def test_a_full_server_passes(ledger: LedgerProbe) -> None:
    """redis-py cuts the code OOM off the text, so only the type tells."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("CONFIG", "SET", "maxmemory", "1")
    try:
        reply = ledger.send(ledger.dispatch_call(["1"]))
        assert isinstance(reply, RedisError)
        assert is_passing(reply)
        assert "maxmemory" in str(reply)
    finally:
        ledger.call("CONFIG", "SET", "maxmemory", "0")


def test_a_replica_passes(ledger: LedgerProbe) -> None:
    """After a failover the old primary is read-only until clients are led to the new one."""
    ledger.call("CONFIG", "SET", "replica-read-only", "yes")
    ledger.call("REPLICAOF", "127.0.0.1", "1")
    try:
        assert is_passing(refusal(ledger.client, "SET", "key", "value"))
    finally:
        ledger.call("REPLICAOF", "NO", "ONE")


def test_a_wrong_command_does_not_pass(ledger: LedgerProbe) -> None:
    """Trying again would fail for ever."""
    wrong = refusal(ledger.client, "NONSENSE")
    assert isinstance(wrong, ResponseError)
    assert not is_passing(wrong)


def test_a_server_that_is_away_is_unavailable() -> None:
    """In Ferry's own terms."""
    with pytest.raises(RedisUnavailable), translated():
        connect("redis://127.0.0.1:1").ping()
