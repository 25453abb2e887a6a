"""What a worker hands back after Redis was away, with kombu's own client on a real Valkey."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection

from ferry_worker import transport

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


def test_what_was_left_behind_is_handed_back(channel: Any, redis_url: str, prefix: str) -> None:
    """As soon as Redis answers, and not after the visibility timeout."""
    now = time.time()
    client = _taken(redis_url, prefix, now - 1)
    transport._left_behind[TAG] = now
    channel.qos.restore_visible()
    assert client.llen(f"{prefix}orders") == 1
    assert (client.hlen(f"{prefix}unacked"), client.zcard(f"{prefix}unacked_index")) == (0, 0)
    assert transport._left_behind == {}


def test_what_another_worker_has_taken_since_stays_with_it(channel: Any, redis_url: str, prefix: str) -> None:
    """Its sweep was faster, and the delivery is under way again: a second copy would run beside it."""
    now = time.time()
    client = _taken(redis_url, prefix, now)
    transport._left_behind[TAG] = now - 1
    channel.qos.restore_visible()
    assert client.llen(f"{prefix}orders") == 0
    assert (client.hlen(f"{prefix}unacked"), client.zcard(f"{prefix}unacked_index")) == (1, 1)
    assert transport._left_behind == {}
