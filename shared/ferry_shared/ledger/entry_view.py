"""Look at one entry of a ledger without touching it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.client import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_shared.ledger.keys import LedgerKeys


@dataclass(frozen=True, slots=True)
class EntryView:
    """What the ledger says of one offset. `head` is empty without a ledger, `state` before the first claim."""

    head: Mapping[str, str]
    in_flight: bool
    state: Mapping[str, Any]
    server_now_ms: int


def view(client: redis.Redis, keys: LedgerKeys, member: str) -> EntryView:
    """Read head and entry in one round trip.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    with translated():
        pipeline = client.pipeline(transaction=True)
        pipeline.hgetall(keys.head)
        pipeline.zscore(keys.inflight, member)
        pipeline.hget(keys.state, member)
        pipeline.time()
        head, score, state, (seconds, microseconds) = pipeline.execute()
    return EntryView(
        {name.decode(): value.decode() for name, value in head.items()},
        score is not None,
        orjson.loads(state) if state else {},
        seconds * 1000 + microseconds // 1000,
    )
