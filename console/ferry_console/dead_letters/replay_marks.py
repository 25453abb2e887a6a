"""Which dead letters were sent again: a hash in Redis, written before anything is sent, so that none goes out twice."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import replayed_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis
    from redis.client import Pipeline

    from ferry_console.dead_letters.replays import Replay


@dataclass(frozen=True, slots=True)
class Mark:
    """Who sent it again, and when (milliseconds since 1970). Not `sent`: whether it went out nobody knows.

    `run` tells this run of the command from any other.
    """

    who: str
    when_ms: int
    sent: bool = False
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    def to_json(self) -> bytes:
        """What is written."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: bytes) -> Mark:
        """Read what was written; what can't be read was written by somebody, at some time, and is as good as sent."""
        try:
            fields: Any = orjson.loads(text)
            return cls(str(fields["who"]), int(fields["when_ms"]), bool(fields["sent"]), str(fields["run"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            return cls("unknown", 0, sent=True, run="")


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of marking one: `other` is the mark of whoever was first, and then it isn't ours.

    `before` is what stood in the place of ours, as it was written.
    """

    other: Mark | None = None
    before: bytes | None = None


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


def take(client: redis.Redis, prefix: str, replays: Sequence[Replay], mark: Mark, *, force: bool) -> list[Taken]:
    """Mark these as being sent by us, and tell of each whether it is ours. All or none are marked.

    With `force` all are ours.

    Raises:
        RedisUnavailable: whether they are marked is unknown; nothing may be sent.
    """
    pipeline = client.pipeline(transaction=True)
    for one in replays:
        key = replayed_key(prefix, one.task_id.group)
        pipeline.hget(key, one.field)
        if force:
            pipeline.hset(key, one.field, mark.to_json())
        else:
            pipeline.hsetnx(key, one.field, mark.to_json())
    with translated():
        before: list[bytes | None] = pipeline.execute()[::2]
    return [Taken(before=text) if force or text is None else Taken(Mark.of_json(text)) for text in before]


def settle(
    client: redis.Redis, prefix: str, sent: Sequence[Replay], refused: Sequence[tuple[Replay, bytes | None]], mark: Mark
) -> None:
    """Note which of ours Kafka has acknowledged, and put back what stood `before` where it has refused one for good.

    Raises:
        RedisUnavailable: the marks can stand as they were: none of them is sent again without being asked for.
    """
    pipeline = client.pipeline(transaction=True)
    for one in sent:
        pipeline.hset(replayed_key(prefix, one.task_id.group), one.field, replace(mark, sent=True).to_json())
    with translated():
        pipeline.execute()
    groups: dict[str, dict[str, bytes | None]] = defaultdict(dict)
    for one, before in refused:
        groups[one.task_id.group][one.field] = before
    for group, fields in groups.items():
        _put_back(client, replayed_key(prefix, group), fields, mark)


def _put_back(client: redis.Redis, key: str, fields: Mapping[str, bytes | None], mark: Mark) -> None:
    """Only where ours still stands: somebody else may have forced the same letter meanwhile."""

    def change(pipeline: Pipeline) -> None:
        standing: Any = pipeline.hmget(key, list(fields))
        pipeline.multi()
        for (name, before), text in zip(fields.items(), standing, strict=True):
            if text != mark.to_json():
                continue
            if before is None:
                pipeline.hdel(key, name)
            else:
                pipeline.hset(key, name, before)

    with translated():
        client.transaction(change, key)
