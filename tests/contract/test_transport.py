"""What a worker hands back, with kombu's own client on a real Valkey."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Connection
from kombu.asynchronous import Hub

from ferry_shared.ledger.redelivery import Transport, stranded
from ferry_shared.routes import Route
from ferry_shared.settings import WorkerSettings
from ferry_shared.task_message import Copy, TaskTemplate, body_of
from ferry_worker import transport
from ferry_worker.configuration import KEEPALIVE, tracked_configuration
from tests.support.ledger_probe import FIRST_TOKEN, LEDGER, LedgerProbe
from tests.support.ledger_probe import wait_until as wait_until_true

TAG = "0123456789abcdef/messages-0-1/1.1.1"
MESSAGE = {"body": "", "headers": {}, "properties": {"delivery_info": {}, "priority": 0}}


@pytest.fixture(params=["", "prefix:"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Without a key prefix and with one."""
    return str(request.param)


@pytest.fixture
def channel(redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A channel of the worker's transport, with a queue."""
    monkeypatch.setattr(transport, "_left_behind", {})
    monkeypatch.setattr(transport, "_acknowledged_late", [])
    name = transport.register_transport()
    options = {"global_keyprefix": prefix, "unacked_restore_throttle": 1}
    with Connection(redis_url, transport=name, transport_options=options) as connection:
        channel = connection.channel()
        connection.SimpleQueue("orders", channel=channel)
        yield channel


def _taken(url: str, prefix: str, at: float) -> redis.Redis:
    client = redis.Redis.from_url(url)
    client.hset(f"{prefix}unacked", TAG, json.dumps([MESSAGE, "orders", "orders"]))
    client.zadd(f"{prefix}unacked_index", {TAG: at})
    return client


def _numbered(number: int, enqueued_ms: int, priority: int = 0) -> str:
    """A message of Ferry's as it lies in a queue."""
    properties = {"delivery_tag": str(number), "delivery_info": {}, "priority": priority}
    return json.dumps({"headers": {"ferry": {"enqueued_ms": enqueued_ms}}, "body": "", "properties": properties})


def _numbers(client: redis.Redis, key: str) -> list[int]:
    """The messages in a queue, in the order in which workers take them."""
    waiting: Any = client.lrange(key, 0, -1)
    return [int(json.loads(message)["properties"]["delivery_tag"]) for message in reversed(waiting)]


def _take(client: redis.Redis, prefix: str, number: int, message: str) -> None:
    client.hset(f"{prefix}unacked", str(number), json.dumps([json.loads(message), "orders", "orders"]))
    client.zadd(f"{prefix}unacked_index", {str(number): time.time()})


def _in_the_gap(monkeypatch: pytest.MonkeyPatch, channel: Any, happens: Callable[[], object]) -> list[None]:
    """Let something happen between the look at a message and its way back; returns one item for each time."""
    restore = channel._do_restore_message
    times: list[None] = []

    def restore_late(*arguments: Any) -> None:
        times.append(None)
        assert len(times) < 10, "it is tried again and again"
        happens()
        restore(*arguments)

    monkeypatch.setattr(channel, "_do_restore_message", restore_late)
    return times


def test_what_another_worker_acknowledges_meanwhile_holds_up_nothing(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy queue that is always the case: a transaction would fail again and again."""
    client = _taken(redis_url, prefix, time.time())
    client.hset(f"{prefix}unacked", mapping={f"other-{number}": "" for number in range(50)})
    others = iter(range(50))
    times = _in_the_gap(monkeypatch, channel, lambda: client.hdel(f"{prefix}unacked", f"other-{next(others)}"))
    channel.qos.restore_by_tag(TAG)
    assert (len(times), client.llen(f"{prefix}orders"), client.hlen(f"{prefix}unacked")) == (1, 1, 49)


def test_what_is_acknowledged_meanwhile_does_not_come_back(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has run."""
    client = _taken(redis_url, prefix, time.time())
    times = _in_the_gap(monkeypatch, channel, lambda: channel.qos.ack(TAG))
    channel.qos.restore_by_tag(TAG)
    assert (len(times), client.llen(f"{prefix}orders"), client.hlen(f"{prefix}unacked")) == (1, 0, 0)


def test_what_is_taken_again_meanwhile_stays_with_its_worker(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place in kombu's index is another one."""
    client = _taken(redis_url, prefix, time.time() - 1)
    times = _in_the_gap(monkeypatch, channel, lambda: _taken(redis_url, prefix, time.time()))
    channel.qos.restore_by_tag(TAG)
    assert (len(times), client.llen(f"{prefix}orders"), client.hlen(f"{prefix}unacked")) == (1, 0, 1)


def test_under_acknowledgements_each_message_is_acknowledged_or_handed_back(
    channel: Any, redis_url: str, prefix: str
) -> None:
    """Never both, never neither."""
    client = redis.Redis.from_url(redis_url)
    for number in range(300):
        _take(client, prefix, number, _numbered(number, number))
    acknowledged: list[int] = []
    started = Event()

    def acknowledge() -> None:
        with redis.Redis.from_url(redis_url) as other:
            for number in range(0, 300, 2):
                if other.hdel(f"{prefix}unacked", str(number)):
                    acknowledged.append(number)
                other.zrem(f"{prefix}unacked_index", str(number))
                started.set()

    thread = Thread(target=acknowledge)
    thread.start()
    assert started.wait(10)
    for number in reversed(range(300)):
        channel.qos.restore_by_tag(str(number))
    thread.join()
    assert sorted([*acknowledged, *_numbers(client, f"{prefix}orders")]) == list(range(300))
    assert (client.hlen(f"{prefix}unacked"), client.zcard(f"{prefix}unacked_index")) == (0, 0)


def test_what_is_in_the_index_alone_is_forgotten(channel: Any, redis_url: str, prefix: str) -> None:
    """Otherwise each sweep would meet it again."""
    client = redis.Redis.from_url(redis_url)
    client.zadd(f"{prefix}unacked_index", {TAG: 1})
    channel.qos.restore_by_tag(TAG)
    assert (client.llen(f"{prefix}orders"), client.zcard(f"{prefix}unacked_index")) == (0, 0)


def test_the_priority_is_kept(channel: Any, redis_url: str, prefix: str) -> None:
    """kombu has a list for each step of priorities."""
    client = redis.Redis.from_url(redis_url)
    _take(client, prefix, 1, _numbered(1, 1, priority=6))
    channel.qos.restore_by_tag("1")
    (key,) = [name for name in client.scan_iter() if b"orders" in name and b"_kombu" not in name]
    waiting: Any = client.lrange(key, 0, -1)
    assert (key, len(waiting)) == (prefix.encode() + b"orders\x06\x166", 1)
    assert waiting[0].count(b'"redelivered": true') == 2


def test_what_a_closed_channel_had_reserved_keeps_its_order(redis_url: str) -> None:
    """Also the messages that are not Ferry's."""
    client = redis.Redis.from_url(redis_url)
    with Connection(redis_url, transport=transport.register_transport()) as connection:
        channel = connection.channel()
        connection.SimpleQueue("orders", channel=channel)
        for number in range(5):
            properties = {"delivery_tag": str(number), "delivery_info": {"exchange": "", "routing_key": "orders"}}
            client.lpush("orders", json.dumps({"properties": properties | {"priority": 0}, "headers": {}}))
        reserved = [channel.basic_get("orders").delivery_tag for _ in range(3)]
        assert (reserved, client.hlen("unacked")) == (["0", "1", "2"], 3)
        channel.close()
    assert _numbers(client, "orders") == [0, 1, 2, 3, 4]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(60)), taken=st.integers(1, 60))
def test_handed_back_in_any_order_the_oldest_is_taken_first(
    channel: Any, redis_url: str, prefix: str, order: list[int], taken: int
) -> None:
    """Several workers hand back one after the other, into a queue that isn't empty."""
    client = redis.Redis.from_url(redis_url)
    client.delete(f"{prefix}orders")
    for number in sorted(order[taken:]):
        client.lpush(f"{prefix}orders", _numbered(number, number))
    for number in order[:taken]:
        _take(client, prefix, number, _numbered(number, number))
        channel.qos.restore_by_tag(str(number))
    assert _numbers(client, f"{prefix}orders") == list(range(60))


def test_large_messages_are_not_all_moved(channel: Any, redis_url: str, prefix: str) -> None:
    """It happens inside the server: past 4 MiB the place is good enough."""
    client = redis.Redis.from_url(redis_url)
    for number in range(3):
        client.lpush(f"{prefix}orders", _numbered(number, number).replace('"body": ""', f'"body": "{"x" * 3_000_000}"'))
    _take(client, prefix, 5, _numbered(5, 5))
    channel.qos.restore_by_tag("5")
    assert _numbers(client, f"{prefix}orders") == [0, 1, 5, 2]


def test_a_message_that_is_not_ferrys_has_no_age(channel: Any, redis_url: str, prefix: str) -> None:
    """Neither before one nor as one a message goes further than to the end that is taken next."""
    client = redis.Redis.from_url(redis_url)
    plain = json.dumps({"properties": {"delivery_tag": "1", "delivery_info": {}, "priority": 0}, "headers": {}})
    client.lpush(f"{prefix}orders", _numbered(0, 0), plain)
    for number, message in ((2, plain.replace('"1"', '"2"')), (3, _numbered(3, 3))):
        _take(client, prefix, number, message)
        channel.qos.restore_by_tag(str(number))
    assert _numbers(client, f"{prefix}orders") == [3, 2, 0, 1]


@pytest.mark.parametrize("way", ["rejected", "closed"])
def test_what_comes_back_to_a_long_queue_has_not_vanished(ledger: LedgerProbe, redis_url: str, way: str) -> None:
    """The consumer looks at those that are taken next to know how old the oldest is; a copy too many would be queued.

    The messages are a second apart, and more than it looks at.
    """
    template = TaskTemplate(Route(ledger.place.topic, dict, "task", ledger.queue), ledger.group, ledger.place, LEDGER)
    ledger.own()
    now_ms = ledger.now_ms()
    members = [str(number) for number in range(60)]
    copies = [Copy(member, FIRST_TOKEN, 1, None, now_ms + int(member) * 1_000, 0) for member in members]
    ledger.dispatch(members, messages=[template.fill(copy, body_of(b"{}")) for copy in copies])
    before = ledger.queued()
    with Connection(redis_url, transport=transport.register_transport()) as connection:
        channel = connection.channel()
        connection.SimpleQueue(ledger.queue, channel=channel)
        taken = [channel.basic_get(ledger.queue) for _ in range(1 if way == "rejected" else 40)]
        assert len(ledger.queued()) == 60 - len(taken)
        for message in taken if way == "rejected" else ():
            message.requeue()
        channel.close()
    wait_until_true(lambda: ledger.now_ms() > now_ms + 100)
    stem, suffix = f"{ledger.place.topic}-0-", f"@{ledger.group}"
    places = Transport(ledger.queue, "unacked", stem, suffix)
    look = stranded(ledger.client, ledger.keys, places, ledger.ownership, age_ms=1, limit=100)
    assert [entry.member for entry in look.entries] == []
    assert [json.loads(message)["headers"]["id"] for message in ledger.queued()] == [
        json.loads(message)["headers"]["id"] for message in before
    ]


def _reject(channel: Any) -> None:
    channel.basic_reject(TAG, requeue=True)


def _lose_redis_and_find_it_again(channel: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(redis.ConnectionError):
            channel.qos.restore_unacked(redis.Redis(port=unused.getsockname()[1]))
    channel.qos.restore_visible()
    assert transport._left_behind == {}


@pytest.mark.parametrize("way_back", [_reject, _lose_redis_and_find_it_again])
@pytest.mark.parametrize("taken_again", [False, True])
def test_what_comes_back_late_is_handed_back_unless_another_worker_has_taken_it_since(
    channel: Any, redis_url: str, prefix: str, taken_again: bool, way_back: Callable[[Any], None]
) -> None:
    """The sweep gave it to another one while this worker could not reach Redis: a second copy would run beside it."""
    delivery = {"exchange": "orders", "routing_key": "orders"}
    content = {**MESSAGE, "properties": {"delivery_info": delivery, "priority": 0, "delivery_tag": TAG}}
    client = redis.Redis.from_url(redis_url)
    client.lpush(f"{prefix}orders", json.dumps(content))
    channel.basic_get("orders")
    if taken_again:
        # Right after: a second later this worker may still be without Redis.
        client.zadd(f"{prefix}unacked_index", {TAG: time.time()})
    way_back(channel)
    assert client.llen(f"{prefix}orders") == (0 if taken_again else 1)
    held = (client.hlen(f"{prefix}unacked"), client.zcard(f"{prefix}unacked_index"))
    assert held == ((1, 1) if taken_again else (0, 0))


def test_a_silent_network_is_given_up_within_a_minute(redis_url: str) -> None:
    """The kernel looks after the worker's connections, those that wait for messages too."""
    options = tracked_configuration(WorkerSettings())["broker_transport_options"]
    with Connection(redis_url, transport=transport.register_transport(), transport_options=options) as connection:
        client = connection.channel().client
        taken = client.connection_pool.get_connection()
        found = {name: taken._sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEPALIVE}
        client.connection_pool.release(taken)
    assert found == KEEPALIVE
    assert found["TCP_KEEPIDLE"] + found["TCP_KEEPINTVL"] * found["TCP_KEEPCNT"] <= 60


def _held(client: redis.Redis, prefix: str) -> list[int]:
    """What the broker believes to be taken, with one voice."""
    content: Any = client.hkeys(f"{prefix}unacked")
    index: Any = client.zrange(f"{prefix}unacked_index", 0, -1)
    assert sorted(content) == sorted(index)
    return sorted(map(int, content))


def _deliver(channel: Any, client: redis.Redis, prefix: str, *numbers: int) -> None:
    """Put messages into the queue, and take them."""
    for number in numbers:
        client.lpush(f"{prefix}orders", _deliverable(number))
        assert channel.basic_get("orders").delivery_tag == str(number)


def _deliverable(number: int, **headers: object) -> str:
    delivery = {"exchange": "orders", "routing_key": "orders"}
    properties = {"delivery_info": delivery, "priority": 0, "delivery_tag": str(number)}
    return json.dumps({**MESSAGE, "headers": headers or {"ferry": {}}, "properties": properties})


@pytest.fixture
def hub(channel: Any) -> Iterator[Hub]:
    """The event loop that a worker's main thread serves its channels by; the test lets its time pass."""
    hub = Hub()
    channel.connection.loop = hub
    yield hub
    hub.close()


def test_acknowledgements_go_with_the_note_of_the_next_message(
    channel: Any, hub: Hub, redis_url: str, prefix: str
) -> None:
    """One script for both, where messages follow each other."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1, 2)
    channel.basic_ack("1")
    channel.basic_ack("2")
    assert _held(client, prefix) == [1, 2]
    before: Any = client.info("commandstats")
    _deliver(channel, client, prefix, 3)
    after: Any = client.info("commandstats")
    assert _held(client, prefix) == [3]
    assert after["cmdstat_eval"]["calls"] - before["cmdstat_eval"]["calls"] == 1


def test_where_none_follows_they_go_soon(channel: Any, hub: Hub, redis_url: str, prefix: str) -> None:
    """The event loop wakes for it, once for all."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1, 2)
    channel.basic_ack("1")
    channel.basic_ack("2")
    assert len(hub.timer._queue) == 1
    assert 0 < hub.fire_timers(max_delay=10.0) <= transport.ACKNOWLEDGE_AFTER_SECONDS
    assert _held(client, prefix) == [1, 2]
    before: Any = client.info("commandstats")
    wait_until_true(lambda: (hub.fire_timers(), _held(client, prefix))[1] == [])
    assert hub.timer._queue == []
    after: Any = client.info("commandstats")
    assert after["cmdstat_eval"]["calls"] - before["cmdstat_eval"]["calls"] == 1


def test_what_no_ledger_knows_is_acknowledged_at_once(channel: Any, hub: Hub, redis_url: str, prefix: str) -> None:
    """A plain Celery task would run again if its worker died; what waits goes along."""
    client = redis.Redis.from_url(redis_url)
    client.lpush(f"{prefix}orders", _deliverable(1), _deliverable(2), _deliverable(3, task="plain"))
    for number in ("1", "2", "3"):
        assert channel.basic_get("orders").delivery_tag == number
    channel.basic_ack("1")
    assert _held(client, prefix) == [1, 2, 3]
    channel.basic_ack("3")
    assert _held(client, prefix) == [2]


@pytest.mark.parametrize("where", ["another thread", "without an event loop"])
def test_where_no_loop_comes_back_to_it_it_goes_at_once(
    channel: Any, hub: Hub, redis_url: str, prefix: str, where: str
) -> None:
    """A pool of threads acknowledges from these, and Celery's other loop knows no timers."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1)
    if where == "another thread":
        thread = Thread(target=channel.basic_ack, args=("1",))
        thread.start()
        thread.join()
    else:
        channel.connection.loop = None
        channel.basic_ack("1")
    assert _held(client, prefix) == []


_TROUBLES = (redis.ConnectionError("away"), redis.ResponseError("BUSY Redis is busy running a script"))


@pytest.mark.parametrize("trouble", _TROUBLES)
def test_with_redis_away_they_go_when_it_answers(
    channel: Any, hub: Hub, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """If that did not end the channel; or when it is no longer busy."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1)
    tried: list[object] = []

    def refuse(*of: object) -> None:
        tried.append(of)
        raise trouble

    with monkeypatch.context() as away:
        away.setattr(channel.qos, "_run", refuse)
        channel.basic_ack("1")
        wait_until_true(lambda: (hub.fire_timers(), len(tried))[1] >= 2)
    wait_until_true(lambda: (hub.fire_timers(), _held(client, prefix))[1] == [])


def test_many_do_not_wait(channel: Any, hub: Hub, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many may end where no message follows."""
    monkeypatch.setattr(transport, "MAX_ACKNOWLEDGED_LATER", 2)
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1, 2, 3)
    channel.basic_ack("1")
    channel.basic_ack("2")
    assert _held(client, prefix) == [3]


def test_at_the_end_of_a_channel_they_go_first(channel: Any, hub: Hub, redis_url: str, prefix: str) -> None:
    """What has run isn't handed back."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1, 2)
    channel.basic_ack("1")
    channel.close()
    assert (_held(client, prefix), _numbers(client, f"{prefix}orders")) == ([], [2])


@pytest.mark.parametrize("is_away", [False, True])
def test_on_a_channel_that_is_closed_they_go_at_once(
    channel: Any, hub: Hub, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """A task that ran while the connection was lost acknowledges on the channel that it came from; or a sweep does."""
    client, broker = redis.Redis.from_url(redis_url), channel.connection.client
    _deliver(channel, client, prefix, 1)
    message = channel.qos.get("1")
    qos = channel.qos
    channel.close()
    _take(client, prefix, 1, _deliverable(1))
    assert _held(client, prefix) == [1]
    qos.append(message, "1")
    with monkeypatch.context() as away:
        if is_away:
            away.setattr(qos, "_run", _refuse)
        qos.ack("1")
    if is_away:
        assert _held(client, prefix) == [1]
        with broker.clone() as connection:
            connection.channel().qos.restore_visible()
    assert _held(client, prefix) == []


@pytest.mark.parametrize("trouble", _TROUBLES)
def test_with_redis_away_at_the_end_of_a_channel_they_go_with_the_next_sweep(
    channel: Any, hub: Hub, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """By the channel that is there then."""
    client = redis.Redis.from_url(redis_url)
    _deliver(channel, client, prefix, 1)
    channel.basic_ack("1")
    with monkeypatch.context() as away:
        away.setattr(channel.qos, "_run", Mock(side_effect=trouble))
        channel.qos.restore_unacked_once()
    assert _held(client, prefix) == [1]
    with channel.connection.client.clone() as connection:
        connection.channel().qos.restore_visible()
    assert (_held(client, prefix), _numbers(client, f"{prefix}orders")) == ([], [])
    assert transport._acknowledged_late == []


def _refuse(*_: object) -> None:
    raise redis.ConnectionError("away")


def _drained(channel: Any, client: redis.Redis, prefix: str, *numbers: int) -> list[str]:
    """Put messages into the queue, and take them as a worker does; returns their tags."""
    tags: list[str] = []
    channel.basic_consume("orders", False, lambda message: tags.append(message.delivery_tag), "a worker")
    for number in numbers:
        client.lpush(f"{prefix}orders", _deliverable(number))
        channel.connection.drain_events(channel.connection, timeout=5)
    return tags


def test_what_was_taken_is_noted_over_the_connection_that_it_came_by(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is asked for."""
    monkeypatch.setattr(transport.QoS, "_run", None)
    client = redis.Redis.from_url(redis_url)
    assert _drained(channel, client, prefix, 1, 2) == ["1", "2"]
    assert _held(client, prefix) == [1, 2]
    monkeypatch.undo()


def test_a_reply_that_is_not_the_notes_is_no_note(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noted over another connection, and what was on its way there is read by nobody."""
    client = redis.Redis.from_url(redis_url)
    note = transport.QoS._note

    def behind_another(qos: Any, *arguments: Any) -> None:
        channel.read_from.send_command("ECHO", "another's")
        monkeypatch.setattr(transport.QoS, "_note", note)
        note(qos, *arguments)

    monkeypatch.setattr(transport.QoS, "_note", behind_another)
    assert _drained(channel, client, prefix, 1, 2) == ["1", "2"]
    assert _held(client, prefix) == [1, 2]


@pytest.mark.parametrize("asked", [False, True])
def test_what_waits_for_messages_is_never_connected_again_unnoticed(redis_url: str, *, asked: bool) -> None:
    """Whatever an application has asked for: kombu would not know that nothing was sent."""
    options = {"retry_on_timeout": asked}
    with Connection(redis_url, transport=transport.register_transport(), transport_options=options) as connection:
        channel = connection.channel()
        waiting = channel.client.connection_pool.get_connection()
        assert waiting.retry._retries == 0
        channel.client.connection_pool.release(waiting)
        assert channel.pool.connection_kwargs["retry_on_timeout"] is asked


@pytest.mark.parametrize("lost", ["before it is noted", "while it is noted"])
def test_a_message_whose_connection_is_lost_is_noted_all_the_same(
    channel: Any, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """By another connection; the next one comes again."""
    client = redis.Redis.from_url(redis_url)
    note = transport.QoS._note

    def lost_reply() -> None:
        channel.client.connection.disconnect()
        monkeypatch.delattr(channel.client.connection, "read_response")
        raise redis.ConnectionError("lost by the test")

    def lose(qos: Any, *arguments: Any) -> None:
        connection = channel.read_from
        if lost == "before it is noted":
            connection._sock.shutdown(socket.SHUT_RDWR)
        else:
            monkeypatch.setattr(connection, "read_response", lost_reply)
        monkeypatch.setattr(transport.QoS, "_note", note)
        note(qos, *arguments)

    monkeypatch.setattr(transport.QoS, "_note", lose)
    assert _drained(channel, client, prefix, 1, 2) == ["1", "2"]
    assert _held(client, prefix) == [1, 2]


def test_what_the_loop_reads_already_is_not_registered_at_each_turn(
    channel: Any, hub: Hub, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost connection is replaced by one that is read again."""
    client = redis.Redis.from_url(redis_url)
    tags: list[str] = []
    channel.basic_consume("orders", False, lambda message: tags.append(message.delivery_tag), "a worker")
    channel.connection.register_with_event_loop(SimpleNamespace(client=channel.connection.client), hub)
    registered: list[int] = []
    register = hub.poller.register

    def note(descriptor: int, events: int) -> None:
        registered.append(getattr(descriptor, "fileno", lambda: descriptor)())
        register(descriptor, events)

    monkeypatch.setattr(hub.poller, "register", note)

    def turn_until(count: int) -> None:
        turns = hub.create_loop()
        deadline = time.monotonic() + 10
        while len(tags) < count and time.monotonic() < deadline:
            next(turns)
        assert tags == [str(number) for number in range(1, count + 1)]

    client.lpush(f"{prefix}orders", _deliverable(1))
    turn_until(1)
    registered.clear()
    client.lpush(f"{prefix}orders", *map(_deliverable, range(2, 12)))
    turn_until(11)
    assert len(registered) < 5

    channel.client.connection.disconnect()
    client.lpush(f"{prefix}orders", _deliverable(12))
    turn_until(12)
    assert registered


def test_one_client_serves_all_that_is_waited_for(channel: Any) -> None:
    """Another one after the connection was lost: kombu makes a new pool then."""
    with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
        assert first is second
        assert first is not channel.client
    channel._disconnect_pools()
    with channel.conn_or_acquire() as third:
        assert third is not first
        assert third.ping()
