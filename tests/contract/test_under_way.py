"""Commands that are sent now, and whose replies are read later."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis.exceptions import ResponseError

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import client as ledger_client
from ferry_shared.ledger.client import LedgerClient, UnderWay, connect
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.scripts import Call, ask
from ferry_shared.ledger.worker_ledger import WorkerLedger
from ferry_shared.record import TopicPartition

TIMEOUT_SECONDS = 0.2
#: What the server calls the connection that asks: higher for each that is opened.
ID = ("CLIENT", "ID")


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
    (connection,) = client.send([ID]).replies()
    assert client.send([ID]).replies() == [connection]
    assert client.ask(*ID) == connection
    first, second = client.send([ID]), client.send([ID])
    used = {*first.replies(), *second.replies()}
    assert connection in used
    assert {client.ask(*ID) for _ in range(5)} < used


def test_a_connection_that_the_server_has_closed_is_opened_again(client: LedgerClient) -> None:
    """Before anything is sent on it, so that nobody need wonder whether it happened."""
    connection = client.ask(*ID)
    client.client_kill_filter(_id=str(connection))
    assert client.ask(*ID) > connection


def test_a_refusal_is_raised_and_the_connection_serves_on(client: LedgerClient) -> None:
    """One that passes is told as Redis being away."""
    connection = client.ask(*ID)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        client.ask("EVAL", "return redis.error_reply('WRONGTYPE of the test')", 0)
    with pytest.raises(RedisUnavailable, match="MISCONF"):
        client.ask("EVAL", "return redis.error_reply('MISCONF of the test')", 0)
    assert client.ask(*ID) == connection


def test_a_refusal_keeps_nobody(redis_url: str) -> None:
    """Who lets go of the client has closed its connections, without a garbage collector that comes some time."""
    client = connect(redis_url)
    seen = weakref.ref(client)
    gc.disable()
    try:
        with suppress(ResponseError):
            client.ask("GET")
        del client
        assert seen() is None
    finally:
        gc.enable()


def test_a_late_reply_is_nobody_elses(client: LedgerClient) -> None:
    """Whether the command happened is unknown; what comes afterwards has its own replies."""
    under_way = client.send([("BLPOP", "nothing", 1), ("PING",)])
    with pytest.raises(RedisUnavailable):
        under_way.replies()
    assert client.echo("mine") == b"mine"
    assert client.send([("ECHO", "too")]).replies() == [b"too"]


def test_what_was_left_unread_is_nobody_elses(client: LedgerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever came in between, such as a Ctrl-C; also where the reply is still to come."""
    under_way = client.send([("BLPOP", "nothing", "0.1"), ("ECHO", "second")])
    with monkeypatch.context() as patch:
        patch.setattr(UnderWay, "_reply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            under_way.replies()
    assert client.ask("ECHO", "mine") == b"mine"
    assert client.echo("mine, too") == b"mine, too"


def interrupted(_under_way: UnderWay) -> None:
    """Instead of a reply."""
    raise KeyboardInterrupt


def test_one_connection_is_enough(redis_url: str) -> None:
    """An address may limit them; a script that the server has forgotten needs no second one."""
    with connect(f"{redis_url}?max_connections=1") as client:
        client.ask("SCRIPT", "FLUSH")
        keys = LedgerKeys.of("", "group", TopicPartition("orders", 0))
        call = Call("inspect", (*keys.all, keys.pauses), keys.pause_fields)
        assert ask(client, call) == ask(client, call) != []
        assert WorkerLedger(client, "").now_ms() > 0


def test_a_server_that_is_away_is_told_when_sending() -> None:
    """And nothing is left in use."""
    with connect("redis://127.0.0.1:1/0") as client:
        with pytest.raises(RedisUnavailable):
            client.send([("PING",)])
        assert not client.connection_pool._in_use_connections


def test_what_is_sent_behind_others_keeps_its_place(client: LedgerClient) -> None:
    """On their connection, which serves again once all replies are read."""
    first = client.send([("SET", "text", "a"), ("APPEND", "text", "b")])
    second = client.send([("APPEND", "text", "c"), ("GET", "text")], first)
    third = client.send([("APPEND", "text", "d")], second)
    assert first.replies() == [b"OK", 2]
    assert second.replies() == [3, b"abc"]
    other = client.ask(*ID)
    assert third.replies() == [4]
    assert client.ask(*ID) < other


def test_a_reply_that_is_lost_takes_those_behind_it_along(client: LedgerClient) -> None:
    """They would be taken for others; the connection is left to whoever comes next."""
    first = client.send([("BLPOP", "nothing", 1)])
    second = client.send([("ECHO", "late")], first)
    for late in (first, second):
        with pytest.raises(RedisUnavailable):
            late.replies()
    assert not client.connection_pool._in_use_connections
    assert client.send([("ECHO", "mine")]).replies() == [b"mine"]


def test_what_cannot_be_sent_behind_others_takes_their_replies_along(client: LedgerClient) -> None:
    """Whether those happened is unknown now, too."""
    first = client.send([("ECHO", "first")])
    first.line.lose()
    with pytest.raises(RedisUnavailable):
        client.send([("ECHO", "second")], first)
    with pytest.raises(RedisUnavailable):
        first.replies()
    assert not client.connection_pool._in_use_connections


def test_no_health_check_comes_between(redis_url: str) -> None:
    """Who asks for some in the address gets them where no reply is on its way."""
    with connect(f"{redis_url}?health_check_interval=1") as client:
        first = client.send([("ECHO", "first")])
        first.line.connection.next_health_check = 0
        second = client.send([("ECHO", "second")], first)
        assert [first.replies(), second.replies()] == [[b"first"], [b"second"]]
