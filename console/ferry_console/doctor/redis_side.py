"""Ask Redis for what the doctor judges; nothing is changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import redis

from ferry_console.doctor.redis_facts import RedisFacts, address_of, database_of
from ferry_console.status.reading import read_group
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms, translated
from ferry_shared.ledger.group_view import view_ledgers
from ferry_shared.ledger.keys import queue_keys
from ferry_shared.ledger.listening import read_listening

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferry_console.status.group_status import GroupStatus
    from ferry_shared.settings import ConsumerSettings


def read_redis(settings: ConsumerSettings, queues: Iterable[str]) -> RedisFacts:
    """Ask the server of queue and ledger.

    Raises:
        RedisUnavailable: it doesn't answer, or refuses what every part of Ferry needs.
        ConfigurationError: the key of the pauses holds something else.
    """
    try:
        with connect(settings.ledger_url) as client, translated():
            return _read(client, settings, queues)
    except redis.RedisError as error:
        # Not a passing one: the user may not do it, or the server doesn't know it.
        raise RedisUnavailable(f"Redis refuses: {error}") from error


def answers(url: str) -> str | None:
    """Ping another Redis; returns what is wrong."""
    try:
        with connect(url) as client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    except ValueError:
        # redis-py's text would quote parts of the URL, which may hold a password.
        return "the URL can't be used"
    return None


def _read(client: redis.Redis, settings: ConsumerSettings, queues: Iterable[str]) -> RedisFacts:
    info: Any = client.info()
    asked = time.time()
    server_seconds = server_time_ms(client) / 1000
    round_trip_seconds = time.time() - asked
    group = read_group(client, settings, settings.consumer_group)
    return RedisFacts(
        address_of(settings.ledger_url),
        round_trip_seconds,
        server_seconds - (asked + round_trip_seconds / 2),
        info,
        group,
        _clusters(client, settings, group),
        {queue: _length(client, queue_keys(settings.ferry_key_prefix, queue)) for queue in queues},
        _listeners(client, database_of(settings.ledger_url)),
        read_listening(client, settings.ferry_key_prefix),
    )


def _clusters(client: redis.Redis, settings: ConsumerSettings, group: GroupStatus) -> frozenset[str]:
    places = [view.place for view in group.partitions]
    views = view_ledgers(client, settings.ferry_key_prefix, settings.consumer_group, places)
    return frozenset(view.head.cluster_id for view in views if view.head and view.head.cluster_id)


def _length(client: redis.Redis, lists: Iterable[str]) -> int | None:
    try:
        lengths: Any = [client.llen(key) for key in lists]
    except redis.ResponseError:
        return None
    return sum(map(int, lengths))


def _listeners(client: redis.Redis, database: int) -> int | None:
    """kombu's fanout exchanges are pattern subscriptions: who has one listens to remote control or to events."""
    try:
        connections: Any = client.client_list()
    except redis.exceptions.NoPermissionError:
        return None
    return sum(int(one.get("psub", 0)) > 0 and int(one.get("db", -1)) == database for one in connections)
