"""Which dead letters were sent again: a hash in Redis, written before anything is sent, so that none goes out twice."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from ferry_console.dead_letters.purge_fences import Fence, fence_over
from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import purging_key, replayed_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis
    from redis.client import Pipeline

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
    """What came of marking one: `other` is the mark of whoever was first, or whose purge is about to remove the letter,
    and then it isn't ours.

    `before` is what stood in the place of ours, as it was written.
    """

    other: Mark | Fence | None = None
    before: bytes | None = None


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


def take(client: redis.Redis, prefix: str, replays: Sequence[Replay], mark: Mark, *, force: bool) -> list[Taken]:
    """Mark these as being sent by us, and tell of each whether it is ours. All or none are marked.

    With `force` all are ours, but those that somebody's purge is about to remove.

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
    taken: list[Taken] = []
    fenced: list[tuple[Replay, bytes | None]] = []
    for one, fence_text, before in zip(replays, replies[0::3], replies[1::3], strict=True):
        is_ours = force or before is None
        if fence := fence_over(fence_text, one.letter_offset):
            taken.append(Taken(fence))
            if is_ours:
                fenced.append((one, before))
        else:
            taken.append(Taken(before=before) if is_ours else Taken(Mark.of_json(before)))
    _put_back(client, prefix, fenced, mark)
    return taken


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
    _put_back(client, prefix, refused, mark)


def _put_back(client: redis.Redis, prefix: str, unsent: Sequence[tuple[Replay, bytes | None]], mark: Mark) -> None:
    """Put back what stood before ours."""
    groups: dict[str, dict[str, bytes | None]] = defaultdict(dict)
    for one, before in unsent:
        groups[one.task_id.group][one.field] = before
    for group, fields in groups.items():
        _put_back_in(client, replayed_key(prefix, group), fields, mark)


def _put_back_in(client: redis.Redis, key: str, fields: Mapping[str, bytes | None], mark: Mark) -> None:
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
