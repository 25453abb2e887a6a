"""Which dead letters were sent again: a hash in Redis, written before anything is sent, so that none goes out twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import replayed_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_console.dead_letters.replays import Replay


@dataclass(frozen=True, slots=True)
class Mark:
    """Who sent it again, and when (milliseconds since 1970). Not `sent`: whether it went out nobody knows."""

    who: str
    when_ms: int
    sent: bool = False

    def to_json(self) -> bytes:
        """What is written."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: bytes) -> Mark:
        """Read what was written; what can't be read was written by somebody, at some time, and is as good as sent."""
        try:
            fields: Any = orjson.loads(text)
            return cls(str(fields["who"]), int(fields["when_ms"]), bool(fields["sent"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            return cls("unknown", 0, sent=True)


def read_marks(client: redis.Redis, prefix: str, replays: Sequence[Replay]) -> list[Mark | None]:
    """Read the marks of these, None where there is none.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    pipeline = client.pipeline(transaction=False)
    for one in replays:
        pipeline.hget(replayed_key(prefix, one.task_id.group), one.field)
    with translated():
        return [None if text is None else Mark.of_json(text) for text in pipeline.execute()]


def take(client: redis.Redis, prefix: str, replays: Sequence[Replay], mark: Mark, *, force: bool) -> list[Mark | None]:
    """Mark these as being sent by us, and return for each None, or the mark of whoever was first: then it isn't ours.

    All or none are marked. With `force` all are ours.

    Raises:
        RedisUnavailable: whether they are marked is unknown; nothing may be sent.
    """
    pipeline = client.pipeline(transaction=True)
    for one in replays:
        key = replayed_key(prefix, one.task_id.group)
        if force:
            pipeline.hset(key, one.field, mark.to_json())
        else:
            pipeline.hsetnx(key, one.field, mark.to_json())
    with translated():
        taken = [force or bool(reply) for reply in pipeline.execute()]
    others = [one for one, is_ours in zip(replays, taken, strict=True) if not is_ours]
    found = iter(read_marks(client, prefix, others) if others else ())
    # A mark that was given back in between is not ours all the same.
    return [None if is_ours else next(found) or Mark("unknown", 0) for is_ours in taken]


def settle(client: redis.Redis, prefix: str, sent: Sequence[Replay], not_sent: Sequence[Replay], mark: Mark) -> None:
    """Note which of ours Kafka has acknowledged, and give back those that it has refused for good.

    Raises:
        RedisUnavailable: the marks can stand as they were: none of them is sent again without being asked for.
    """
    pipeline = client.pipeline(transaction=True)
    for one in sent:
        pipeline.hset(replayed_key(prefix, one.task_id.group), one.field, replace(mark, sent=True).to_json())
    for one in not_sent:
        pipeline.hdel(replayed_key(prefix, one.task_id.group), one.field)
    with translated():
        pipeline.execute()
