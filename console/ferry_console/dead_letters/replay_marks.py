"""Which dead letters were sent again: a hash in Redis, written before anything is sent, so that none goes out twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from ferry_console.dead_letters.purge_fences import Fence, fence_over
from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import purging_key, replayed_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_console.dead_letters.replays import Replay
    from ferry_shared.record import TaskId


class Marked(Protocol):
    """What has a mark, or none."""

    @property
    def task_id(self) -> TaskId:
        """Of the dead letter; it names the group."""
        ...

    @property
    def field(self) -> str:
        """The mark's."""
        ...


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


def read_marks(client: redis.Redis, prefix: str, letters: Sequence[Marked]) -> list[Mark | None]:
    """Read the marks of these, None where there is none.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    pipeline = client.pipeline(transaction=False)
    for one in letters:
        pipeline.hget(replayed_key(prefix, one.task_id.group), one.field)
    with translated():
        return [None if text is None else Mark.of_json(text) for text in pipeline.execute()]


def take(
    client: redis.Redis, prefix: str, replays: Sequence[Replay], mark: Mark, *, force: bool
) -> list[Mark | Fence | None]:
    """Mark these as being sent by us, and return for each None, or who was first: whose mark it has, or whose purge is
    about to remove it, also against `force`. Then it isn't ours.

    All or none are marked.

    Raises:
        RedisUnavailable: whether they are marked is unknown; nothing may be sent.
    """
    pipeline = client.pipeline(transaction=True)
    for one in replays:
        key = replayed_key(prefix, one.task_id.group)
        # A purge raises its fence before it looks at marks: whoever comes second sees the other one.
        pipeline.hget(purging_key(prefix, one.letter_place.topic), str(one.letter_place.partition))
        pipeline.hget(key, one.field)
        if force:
            pipeline.hset(key, one.field, mark.to_json())
        else:
            pipeline.hsetnx(key, one.field, mark.to_json())
    with translated():
        replies = pipeline.execute()
    others: list[Mark | Fence | None] = []
    to_restore: list[tuple[Replay, bytes | None]] = []
    for one, fence_text, present in zip(replays, replies[0::3], replies[1::3], strict=True):
        is_ours = force or present is None
        fence = fence_over(fence_text, one.letter_offset)
        others.append(fence or (None if is_ours else Mark.of_json(present)))
        if fence and is_ours:
            to_restore.append((one, present))
    if to_restore:
        _restore(client, prefix, to_restore)
    return others


def _restore(client: redis.Redis, prefix: str, marks: Sequence[tuple[Replay, bytes | None]]) -> None:
    pipeline = client.pipeline(transaction=True)
    for one, before in marks:
        key = replayed_key(prefix, one.task_id.group)
        if before is None:
            pipeline.hdel(key, one.field)
        else:
            pipeline.hset(key, one.field, before)
    with translated():
        pipeline.execute()


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
