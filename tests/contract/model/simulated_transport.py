"""Copies of messages, on real keys in the form that kombu's Redis transport gives them.

A worker's fetch is two steps, as kombu's: BRPOP, later HSET and ZADD. What is taken in between is in nobody's keys.
"""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from kombu.utils.json import dumps, loads

from ferry_shared.ledger.keys import queue_key, unacked_key
from ferry_shared.ledger.worker_ledger import HEADER
from tests.contract.model.virtual_time import VirtualTime

QUEUE = queue_key("", "celery")
UNACKED = unacked_key("")
UNACKED_INDEX = f"{UNACKED}_index"


@dataclass(frozen=True)
class Copy:
    """One message in the transport. `raw` is what lies in the queue."""

    raw: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The message."""
        fields: dict[str, Any] = loads(self.raw.decode())
        return fields

    @property
    def tag(self) -> str:
        """The delivery tag."""
        return str(self.fields["properties"]["delivery_tag"])

    @property
    def header(self) -> dict[str, Any]:
        """The `ferry` header."""
        header: dict[str, Any] = self.fields["headers"][HEADER]
        return header

    @property
    def serials(self) -> list[int]:
        """Of its records: one, or those of a batch."""
        payload = loads(b64decode(self.fields["body"]).decode())[0][0]
        return [loads(text)["serial"] for text in (payload if isinstance(payload, list) else [payload])]


class Transport:
    """What kombu does to the keys. `client` is the caller's: a worker's stepped one, or the test's own."""

    def __init__(self, server: redis.Redis, clock: VirtualTime) -> None:
        self.server, self._clock = server, clock
        self.queued: Counter[bytes] = Counter()
        self.taken_ms: dict[str, int] = {}

    def reset(self) -> None:
        """Begin anew, in an empty database."""
        self.queued.clear()
        self.taken_ms.clear()

    def look(self) -> Counter[bytes]:
        """What the queue holds now."""
        replies: Any = self.server.lrange(QUEUE, 0, -1)
        return Counter(replies)

    def adopt(self) -> None:
        """Take what the queue holds for what it is to hold: a server has lost or found messages."""
        self.queued = self.look()

    def _has_moved(self, *, taken: bytes | None = None, put_back: str | None = None) -> None:
        """Assert that nobody but the consumers, who are watched, and this step has changed the queue."""
        expected = self.queued.copy()
        expected.subtract([taken] if taken is not None else [])
        expected.update([put_back.encode()] if put_back is not None else [])
        present = self.look()
        assert {raw: count for raw, count in expected.items() if count} == present, "a change that nobody has made"
        self.queued = present

    def new_in_queue(self) -> list[Copy]:
        """What was pushed since the last look."""
        present = self.look()
        gone, new = self.queued - present, present - self.queued
        assert not gone, f"a push has taken {len(gone)} messages out of the queue"
        self.queued = present
        return [Copy(raw) for raw in new.elements()]

    def take(self) -> Copy | None:
        """BRPOP: from now on the copy is in its taker's hands alone."""
        reply: Any = self.server.rpop(QUEUE)
        self._has_moved(taken=reply)
        if reply is None:
            return None
        copy = Copy(reply)
        self.taken_ms[copy.tag] = self._clock.now_ms
        return copy

    def hold(self, copy: Copy) -> bool:
        """Record it as taken; true when that is known to have happened."""
        held = dumps([copy.fields, "", "celery"])
        pipeline = self.server.pipeline()
        pipeline.zadd(UNACKED_INDEX, {copy.tag: self._clock.now_ms})
        pipeline.hset(UNACKED, copy.tag, held)
        pipeline.execute()
        self.taken_ms.pop(copy.tag, None)
        return True

    def acknowledge(self, tag: str) -> None:
        """The copy has served; whichever copy that is, if two have one tag."""
        pipeline = self.server.pipeline()
        pipeline.zrem(UNACKED_INDEX, tag)
        pipeline.hdel(UNACKED, tag)
        pipeline.execute()

    def restore(self, tag: str, *, leftmost: bool = False) -> None:
        """Back into the queue, marked; nothing where somebody else has restored or acknowledged it."""
        held: Any = self.server.hget(UNACKED, tag)
        self.acknowledge(tag)
        raw = None
        if held:
            message = loads(held.decode())[0]
            message["headers"]["redelivered"] = True
            message["properties"]["delivery_info"]["redelivered"] = True
            push = self.server.lpush if leftmost else self.server.rpush
            raw = dumps(message)
            push(QUEUE, raw)
        self._has_moved(put_back=raw)

    def restore_held_since(self, limit_ms: int) -> int:
        """What any worker does now and then for those that hold a copy past the visibility timeout."""
        tags: Any = self.server.zrangebyscore(UNACKED_INDEX, "-inf", limit_ms)
        for tag in tags:
            self.restore(tag.decode())
        return len(tags)

    def shuffle(self, order: Callable[[list[bytes]], list[bytes]]) -> None:
        """Give the queue's messages another order."""
        messages: Any = self.server.lrange(QUEUE, 0, -1)
        if messages:
            pipeline = self.server.pipeline()
            pipeline.delete(QUEUE)
            pipeline.rpush(QUEUE, *order(messages))
            pipeline.execute()

    def held(self) -> list[str]:
        """The tags of what workers have taken and neither acknowledged nor handed back."""
        tags: Any = self.server.hkeys(UNACKED)
        return [tag.decode() for tag in tags]

    def has(self, tag: str) -> bool:
        """Whether a copy with this tag waits or is held."""
        return bool(self.server.hexists(UNACKED, tag)) or any(Copy(raw).tag == tag for raw in self.queued)

    @property
    def is_empty(self) -> bool:
        """Nothing waits, nothing is held."""
        return not self.queued and not self.server.exists(UNACKED)
