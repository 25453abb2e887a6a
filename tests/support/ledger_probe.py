"""One ledger on a real server, as a test drives it: calls of both sides with defaults, and the keys as they are."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import orjson

from ferry_shared.ledger import consumer_ledger, dispatches
from ferry_shared.ledger.client import connect
from ferry_shared.ledger.consumer_ledger import (
    NOTHING_COUNTED,
    Acquired,
    Condition,
    Counted,
    Due,
    Inspection,
    Ownership,
    Refused,
    Snapshot,
)
from ferry_shared.ledger.dispatches import Delayed, Dispatch, Dispatched, Invalid, Queued
from ferry_shared.ledger.keys import LedgerKeys, Token, member_span
from ferry_shared.ledger.worker_ledger import Claimed, Recorded, TaskHeader, WorkerLedger
from ferry_shared.record import TopicPartition

LEDGER = "0123456789abcdef"
OTHER_LEDGER = "fedcba9876543210"
OWNER = "owner-a"
OTHER_OWNER = "owner-b"
FIRST_TOKEN = str(Token(1, 1))
MINUTE_MS = 60_000
_POLL_SECONDS = 0.002


def payload_of(member: str) -> bytes:
    """What stands for the Celery message of `member` in these tests."""
    return f"message of {member}".encode()


def message_count(member: str) -> int:
    """How many messages a member stands for."""
    return int(member.split("-")[2]) if "-" in member else 1


class Counts(NamedTuple):
    """The head's counts beside what they must equal."""

    entries: int
    cardinality: int
    messages: int
    messages_in_flight: int


class LedgerProbe:
    """The ledger of group and topic, partition 0, in the Redis at `redis_url`; nothing in it yet."""

    def __init__(self, redis_url: str, group: str, topic: str) -> None:
        self.client = connect(redis_url)
        self.group = group
        self.place = TopicPartition(topic, 0)
        self.keys = LedgerKeys.of("", group, self.place)
        self.queue = f"queue-{topic}"
        self.worker = WorkerLedger(self.client, "")
        self.ownership = Ownership(LEDGER, 1)
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    # The consumer's side

    def inspect(self) -> Inspection:
        """Read the ledger."""
        return consumer_ledger.inspect(self.client, self.keys)

    def acquire(
        self,
        position: int = 0,
        *,
        seen: Inspection | None = None,
        ledger: str = LEDGER,
        epoch_floor: int = 0,
        committed: int | None = None,
        topic_id: str = "topic-id",
        drop: bool | None = None,
        drop_from: int | None = None,
        rewound: int = 0,
        counted: Counted = NOTHING_COUNTED,
    ) -> Acquired | Refused:
        """Acquire it, as it is now unless `seen` tells otherwise; on success it is ours.

        Like the consumer, it drops what isn't sound, unless `drop` tells otherwise.
        """
        before = seen or self.inspect()
        reply = consumer_ledger.acquire(
            self.client,
            self.keys,
            before,
            ledger=ledger,
            epoch_floor=epoch_floor,
            position=position,
            committed=position if committed is None else committed,
            cluster_id="cluster-id",
            topic_id=topic_id,
            drop=before.condition is not Condition.SOUND if drop is None else drop,
            drop_from=drop_from,
            rewound=rewound,
            counted=counted,
        )
        if isinstance(reply, Acquired):
            self.ownership, self.position = reply.ownership, reply.position
        return reply

    def own(self, position: int = 0, **arguments: Any) -> Acquired:
        """Acquire it, as the consumer does; it must succeed."""
        dispatches.make_known(self.client)
        reply = self.acquire(position, **arguments)
        assert isinstance(reply, Acquired), reply
        return reply

    def dispatch_call(
        self,
        members: Sequence[str] = (),
        invalid: Mapping[str, str] | None = None,
        *,
        next_position: int | None = None,
        messages: Sequence[bytes] | None = None,
        delayed: Mapping[str, int] | None = None,
    ) -> Dispatch:
        """A dispatch of `members` at the position that the last call returned; `delayed` says when those are due."""
        wrong, waiting = invalid or {}, delayed or {}
        last = max((member_span(member)[1] for member in (*members, *wrong, *waiting)), default=self.position)
        following = next_position if next_position is not None else max(self.position, last + 1)
        contents = messages or [payload_of(member) for member in members]
        return Dispatch(
            place=self.place,
            keys=self.keys,
            queue_key=self.queue,
            ownership=self.ownership,
            expected=self.position,
            next=following,
            last=last,
            queued=[Queued(member, content) for member, content in zip(members, contents, strict=True)],
            invalid=[Invalid(member, error) for member, error in wrong.items()],
            delayed=[Delayed(member, due_ms, payload_of(member)) for member, due_ms in waiting.items()],
        )

    def send(self, call: Dispatch) -> Dispatched | Refused | Exception:
        """Send one dispatch."""
        (reply,) = dispatches.send_dispatches(self.client, [call]).replies()
        if isinstance(reply, Dispatched):
            self.position = reply.position
        return reply

    def dispatch(
        self,
        members: Sequence[str] = (),
        invalid: Mapping[str, str] | None = None,
        *,
        next_position: int | None = None,
        messages: Sequence[bytes] | None = None,
        delayed: Mapping[str, int] | None = None,
    ) -> Dispatched:
        """Dispatch `members`; it must succeed."""
        call = self.dispatch_call(members, invalid, next_position=next_position, messages=messages, delayed=delayed)
        reply = self.send(call)
        if isinstance(reply, Exception):
            raise reply
        assert isinstance(reply, Dispatched), reply
        return reply

    def snapshot(self, limit: int = 100) -> Snapshot:
        """Take a snapshot; it must succeed."""
        (reply,) = consumer_ledger.snapshot(self.client, [(self.keys, self.ownership)], limit)
        assert isinstance(reply, Snapshot), reply
        return reply

    def due(self, member: str) -> Due:
        """What a snapshot tells of `member`; it must be due."""
        (found,) = [due for due in self.snapshot().due if due.member == member]
        return found

    def enqueue(self, due: Due, message: bytes = b"the next copy") -> bool:
        """Queue the next copy."""
        return consumer_ledger.enqueue(self.client, self.keys, self.queue, self.ownership, due, message=message)

    def clear(self, member: str, token: str = FIRST_TOKEN) -> bool:
        """Remove an entry whose dead letter is written."""
        return consumer_ledger.clear(self.client, self.keys, self.ownership, member, token)

    def committed(self, offset: int) -> bool:
        """Record what Kafka has committed."""
        return consumer_ledger.committed(self.client, self.keys, self.ownership, offset)

    # The worker's side

    def task(self, member: str, token: str = FIRST_TOKEN, *, ledger: str = LEDGER) -> TaskHeader:
        """The header of a task message."""
        return TaskHeader(ledger, self.group, *self.place, member, token, 1, None, 0)

    def claim(
        self,
        member: str,
        token: str = FIRST_TOKEN,
        owner: str = OWNER,
        *,
        ledger: str = LEDGER,
        lease_ms: int = MINUTE_MS,
        max_claims: int = 3,
        restored: bool = False,
    ) -> Claimed:
        """Claim a task."""
        task = self.task(member, token, ledger=ledger)
        return self.worker.claim(task, owner, lease_ms=lease_ms, max_claims=max_claims, restored=restored)

    def claim_with_a_lease_that_is_over(self, member: str, token: str = FIRST_TOKEN, owner: str = OWNER) -> Claimed:
        """Claim a task for 1 ms, and wait until that is over by the server's clock."""
        claimed = self.claim(member, token, owner, lease_ms=1)
        lease_end = self.state(member)["lease"]
        wait_until(lambda: self.now_ms() > lease_end)
        return claimed

    def outcome(
        self, name: str, member: str, token: str = FIRST_TOKEN, owner: str = OWNER, ledger: str = LEDGER
    ) -> Recorded:
        """Call done, fail, retry (due at once) or release."""
        task = self.task(member, token, ledger=ledger)
        calls: dict[str, Callable[[], Recorded]] = {
            "done": lambda: self.worker.done(task, owner),
            "fail": lambda: self.worker.fail(task, owner, "ValueError: no", b"payload"),
            "retry": lambda: self.worker.retry(task, owner, 0, b"payload"),
            "release": lambda: self.worker.release(task, owner),
        }
        return calls[name]()

    # The keys

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, microseconds = self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def call(self, *words: str | bytes | int) -> Any:
        """Any Redis command."""
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def head(self) -> dict[str, str]:
        """The head's fields."""
        return {name.decode(): value.decode() for name, value in self.call("HGETALL", self.keys.head).items()}

    def members(self) -> list[str]:
        """The entries, lowest first."""
        return [member.decode() for member in self.call("ZRANGE", self.keys.inflight, 0, -1)]

    def state(self, member: str) -> dict[str, Any]:
        """The state of an entry, empty when it has none."""
        stored = self.call("HGET", self.keys.state, member)
        fields: dict[str, Any] = orjson.loads(stored) if stored else {}
        return fields

    def stored_payload(self, member: str) -> bytes | None:
        """What `fail` or `retry` stored."""
        payload: bytes | None = self.call("HGET", self.keys.state, f"{member}:payload")
        return payload

    def members_with_state(self) -> set[str]:
        """The entries that the state hash tells anything of."""
        return {name.decode().removesuffix(":payload") for name in self.call("HKEYS", self.keys.state)}

    def attention(self) -> dict[str, int]:
        """The members that need attention, and when."""
        flat = self.call("ZRANGE", self.keys.attention, 0, -1, "WITHSCORES")
        return {member.decode(): int(score) for member, score in zip(flat[::2], flat[1::2], strict=True)}

    def times(self) -> list[str]:
        """The dispatch calls that are remembered: last offset and epoch of each."""
        entries = [entry.decode().split(":") for entry in self.call("ZRANGE", self.keys.times, 0, -1)]
        return [f"{last} epoch {epoch}" for last, _, epoch in entries]

    def queued(self) -> list[bytes]:
        """The messages in the queue, in the order in which a worker takes them."""
        newest_first: list[bytes] = self.call("LRANGE", self.queue, 0, -1)
        return newest_first[::-1]

    def counts(self) -> Counts:
        """The counts that must match."""
        head, members = self.head(), self.members()
        return Counts(int(head["entries"]), len(members), int(head["messages"]), sum(map(message_count, members)))

    def assert_counts_match(self) -> None:
        """The head's counts equal what is in flight."""
        counts = self.counts()
        assert counts == counts._replace(cardinality=counts.entries, messages_in_flight=counts.messages)

    def dump(self) -> dict[str, bytes]:
        """Every key of this database as Redis would save it: equal dumps mean that nothing was written."""
        return {key.decode(): self.call("DUMP", key) for key in self.call("KEYS", "*")}

    def as_other(self, ownership: Ownership) -> "LedgerProbe":
        """The same ledger through another owner's eyes."""
        other = object.__new__(LedgerProbe)
        other.__dict__.update(self.__dict__, ownership=ownership)
        return other

    def stale_owners(self) -> dict[str, Ownership]:
        """Owners that must be refused."""
        return {
            "other ledger": replace(self.ownership, ledger=OTHER_LEDGER),
            "older epoch": replace(self.ownership, epoch=self.ownership.epoch - 1),
            "later epoch": replace(self.ownership, epoch=self.ownership.epoch + 1),
        }


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
    """Wait until `condition` holds; fails when time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing of the kind in time"
        time.sleep(_POLL_SECONDS)
