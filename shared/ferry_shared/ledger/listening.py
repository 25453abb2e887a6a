"""Which queues workers take from: each worker says so every few seconds, and it holds a little longer than that.

A sorted set for all groups (`keys.listening_key`), with a member for each worker and queue, by when it ends to hold.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.keys import listening_key
from ferry_shared.ledger.scripts import Call, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import redis


def tell_listening(client: redis.Redis, key_prefix: str, worker: str, queues: Iterable[str], holds_ms: int) -> None:
    """Note that `worker` takes from `queues` for `holds_ms` from now on; 0: no longer.

    Raises:
        RedisUnavailable: whether it is noted is unknown.
    """
    members = [orjson.dumps([worker, queue]) for queue in queues]
    run(client, Call("listening", (listening_key(key_prefix),), (holds_ms, *members)))


def read_listening(client: redis.Redis, key_prefix: str) -> Mapping[str, int] | None:
    """How many workers take from each queue; None where the key holds something else.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    reply = run(client, Call("listeners", (listening_key(key_prefix),), ()))
    return Counter(filter(None, map(_queue_of, reply[1]))) if reply[0] == b"listeners" else None


def _queue_of(member: bytes) -> str | None:
    """The queue that a member names; None for what no worker wrote."""
    try:
        found: Any = orjson.loads(member)
    except ValueError:
        return None
    match found:
        case [str(), str(queue)]:
            return queue
    return None
