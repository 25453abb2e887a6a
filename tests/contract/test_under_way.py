"""Commands that are sent now, and whose replies are read later."""

from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import client as ledger_client
from ferry_shared.ledger.client import LedgerClient, UnderWay, connect

TIMEOUT_SECONDS = 0.2


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerClient]:
    """One that waits for a reply no longer than that."""
    monkeypatch.setattr(ledger_client, "SOCKET_TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    with connect(redis_url) as client:
        yield client


def test_replies_come_in_order_with_errors_among_them(client: LedgerClient) -> None:
    """Other commands of the same client go their own way meanwhile."""
    under_way = client.send([("SET", "number", 1), ("LPUSH", "number", "x"), ("INCR", "number")])
    assert client.ping()
    done, refused, number = under_way.replies()
    assert (done, number) == (b"OK", 2)
    assert isinstance(refused, ResponseError)
    assert "WRONGTYPE" in str(refused)


def test_its_connection_serves_again(client: LedgerClient) -> None:
    """No more of them are opened than are in use at once."""
    for _ in range(5):
        client.send([("PING",)]).replies()
    assert len(client.connection_pool._available_connections) == 1
    assert not client.connection_pool._in_use_connections


def test_a_late_reply_is_nobody_elses(client: LedgerClient) -> None:
    """Whether the command happened is unknown; what comes afterwards has its own replies."""
    under_way = client.send([("BLPOP", "nothing", 1), ("PING",)])
    with pytest.raises(RedisUnavailable):
        under_way.replies()
    assert client.echo("mine") == b"mine"
    assert client.send([("ECHO", "too")]).replies() == [b"too"]


def test_what_was_left_unread_is_nobody_elses(client: LedgerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever came in between, such as a Ctrl-C."""
    under_way = client.send([("ECHO", "first"), ("ECHO", "second")])
    replies = iter([b"first"])
    monkeypatch.setattr(UnderWay, "_reply", lambda _self: next(replies))
    with pytest.raises(StopIteration):
        under_way.replies()
    assert client.echo("mine") == b"mine"


def test_a_server_that_is_away_is_told_when_sending() -> None:
    """And nothing is left in use."""
    with connect("redis://127.0.0.1:1/0") as client:
        with pytest.raises(RedisUnavailable):
            client.send([("PING",)])
        assert not client.connection_pool._in_use_connections
