"""The fault tests' proxy does to connections what it says."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ferry_console.local.ports import free_port
from ferry_console.local.valkey import LocalValkey
from tests.support.eventually import eventually
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def proxy(valkey: LocalValkey) -> Iterator[TcpProxy]:
    """A proxy in front of the session's Valkey."""
    with TcpProxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: TcpProxy, redis_url: str) -> Iterator[redis.Redis]:
    """A client that goes through the proxy and tries nothing again."""
    with _client(proxy.port, redis_url, 10.0) as client:
        yield client


@pytest.fixture
def impatient(proxy: TcpProxy, redis_url: str) -> Iterator[redis.Redis]:
    """One that gives up after half a second."""
    with _client(proxy.port, redis_url, 0.5) as client:
        yield client


@pytest.fixture
def direct(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the same database that doesn't."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def _client(port: int, redis_url: str, timeout_seconds: float) -> redis.Redis:
    database = int(redis_url.rpartition("/")[2])
    return redis.Redis(port=port, db=database, socket_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0))


def test_bytes_pass_through_unchanged(client: redis.Redis) -> None:
    """Large values too, in both directions, over many connections at once."""
    values = {f"key {number}": bytes([number]) * 300_000 for number in range(8)}
    threads = [threading.Thread(target=client.set, args=item) for item in values.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: client.get(key) for key in values} == values


def test_delayed_replies(client: redis.Redis, impatient: redis.Redis, direct: redis.Redis, proxy: TcpProxy) -> None:
    """A reply comes later by the delay; the request reaches the server at once, also when the client gives up."""
    client.ping()
    impatient.ping()
    proxy.delay(0.2)
    started = time.monotonic()
    client.ping()
    assert time.monotonic() - started >= 0.2
    proxy.delay(2.0)
    with pytest.raises(redis.TimeoutError):
        impatient.set("late", "x")
    assert direct.get("late") == b"x"


def test_dropped_bytes_reach_nobody(impatient: redis.Redis, direct: redis.Redis, proxy: TcpProxy) -> None:
    """The client waits in vain, on old connections and new ones; those with a gap are not used again."""
    impatient.ping()
    proxy.drop()
    for _ in range(2):
        with pytest.raises(redis.TimeoutError):
            impatient.set("dropped", "x")
    assert direct.get("dropped") is None
    proxy.pass_through()
    impatient.set("passed", "x")
    assert direct.get("passed") == b"x"


def test_a_connection_with_a_gap_is_closed(proxy: TcpProxy) -> None:
    """What was swallowed is never followed by other bytes."""
    with socket.create_connection(("127.0.0.1", proxy.port), 5.0) as raw:
        proxy.drop()
        eventually(lambda: proxy.connections, 1)
        raw.sendall(b"PING\r\n")
        time.sleep(0.1)
        proxy.pass_through()
        assert raw.recv(100) == b""


def test_refusing_closes_and_takes_nothing_new(client: redis.Redis, proxy: TcpProxy) -> None:
    """Until it passes through again, on the same port."""
    client.ping()
    port = proxy.port
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    proxy.pass_through()
    assert client.ping() is True
    assert proxy.port == port


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.eval("return redis.call('INCR', KEYS[1])", 1, "number"),
        lambda client: client.set("number", "1", px=100_000),
    ],
    ids=["script", "command"],
)
def test_a_cut_reply_is_a_request_that_happened(
    client: redis.Redis, direct: redis.Redis, proxy: TcpProxy, call: Callable[[redis.Redis], object]
) -> None:
    """The server has done it once, the client gets nothing but a closed connection, and the next call works."""
    client.ping()
    proxy.cut_reply_after(b"number")
    assert client.ping() is True
    with pytest.raises(redis.ConnectionError):
        call(client)
    assert (proxy.cuts, direct.get("number")) == (1, b"1")
    assert client.get("number") == b"1"
    assert proxy.cuts == 1


def test_a_cut_pipeline_has_happened_as_a_whole(client: redis.Redis, direct: redis.Redis, proxy: TcpProxy) -> None:
    """A large request that comes in many pieces, with its pattern in the first, reaches the server whole."""
    client.ping()
    proxy.cut_reply_after(b"item 0")
    pipeline = client.pipeline(transaction=False)
    for number in range(20_000):
        pipeline.rpush("items", f"item {number}")
    with pytest.raises(redis.ConnectionError):
        pipeline.execute()
    assert (proxy.cuts, direct.llen("items")) == (1, 20_000)


def test_something_can_happen_between_a_call_and_its_reply(client: redis.Redis, proxy: TcpProxy) -> None:
    """The callback runs after the server's answer and before the client's error."""
    events: list[str] = []
    proxy.cut_reply_after(b"counted", then=lambda: events.append("server answered"))
    with pytest.raises(redis.ConnectionError):
        client.incr("counted")
    events.append("client learned")
    assert events == ["server answered", "client learned"]


def test_a_pattern_across_two_pieces_is_found(proxy: TcpProxy) -> None:
    """TCP cuts where it likes."""
    proxy.cut_reply_after(b"across")
    with socket.create_connection(("127.0.0.1", proxy.port), 5.0) as raw:
        raw.sendall(b"ECHO acr")
        time.sleep(0.1)
        raw.sendall(b"oss\r\n")
        assert raw.recv(100) == b""
    assert proxy.cuts == 1


def test_without_a_target_connections_are_closed(redis_url: str) -> None:
    """A server that isn't there looks as if it had gone."""
    with (
        TcpProxy(free_port()) as proxy,
        _client(proxy.port, redis_url, 10.0) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()


def test_it_carries_thousands_of_round_trips_a_second(client: redis.Redis) -> None:
    """So that a proxy on the way doesn't hide what a fault does under load."""
    client.ping()
    started = time.monotonic()
    for _ in range(2_000):
        client.ping()
    assert time.monotonic() - started < 10.0
