"""Up to where dead letters are being removed: a hash in Redis, written before a purge looks at the marks of replays.

A replay writes its mark and reads the fence in one transaction, so of a replay and a purge of one letter whoever comes
second knows of the other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import purging_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

#: It outlives the purge, for a replay can have read a letter before that was removed; and ends by itself, since offsets
#: begin anew in a topic that is created again.
FENCE_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Fence:
    """Who removes the letters below `until` (an offset), and since when (milliseconds since 1970)."""

    until: int
    who: str
    when_ms: int

    def to_json(self) -> bytes:
        """What is written."""
        return orjson.dumps(asdict(self))


def fence_over(text: bytes | None, offset: int) -> Fence | None:
    """The fence that `text` holds, if it covers the offset; one that can't be read covers all."""
    if text is None:
        return None
    try:
        fields: Any = orjson.loads(text)
        fence = Fence(int(fields["until"]), str(fields["who"]), int(fields["when_ms"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return Fence(offset, "unknown", 0)
    return fence if offset < fence.until else None


def raise_fences(client: redis.Redis, prefix: str, topic: str, fences: Mapping[int, Fence]) -> None:
    """Write the fences of a dead-letter topic, by partition.

    Raises:
        RedisUnavailable: whether they are written is unknown; nothing may be removed.
    """
    key = purging_key(prefix, topic)
    pipeline = client.pipeline(transaction=True)
    pipeline.hset(key, mapping={str(partition): fence.to_json() for partition, fence in fences.items()})
    pipeline.expire(key, FENCE_SECONDS)
    with translated():
        pipeline.execute()
