"""The scripts that find and replace messages which the transport has lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ferry_shared.ledger.scripts import Call, run

if TYPE_CHECKING:
    import redis

    from ferry_shared.ledger.consumer_ledger import Ownership
    from ferry_shared.ledger.keys import LedgerKeys


@dataclass(frozen=True, slots=True)
class Transport:
    """Where kombu keeps a partition's messages, and how its task ids are made: `stem` + member + `suffix`."""

    queue_key: str
    unacked_key: str
    stem: str
    suffix: str

    @property
    def unacked_index_key(self) -> str:
        """The taken messages by the time at which they were taken (kombu's `unacked_index_key`)."""
        return f"{self.unacked_key}_index"


@dataclass(frozen=True, slots=True)
class Stranded:
    """An entry that nobody holds and whose message is neither waiting nor taken. `payload` is what `retry` stored."""

    member: str
    token: str
    copy: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What a first look at a piece of a ledger found; the next one begins at the offset `next`, 0 after the last."""

    entries: tuple[Stranded, ...]
    next: int


class Redelivered(StrEnum):
    """What the second look says. `GONE` and `STALE`: it has ended or moved on; `REFUSED`: the ledger isn't ours."""

    ENQUEUED = "enqueued"
    EXHAUSTED = "exhausted"
    STALE = "stale"
    GONE = "gone"
    REFUSED = "refused"
    NO_LEDGER = "no-ledger"


def stranded(
    client: redis.Redis,
    keys: LedgerKeys,
    transport: Transport,
    owner: Ownership,
    *,
    age_ms: int,
    limit: int,
    first: int = 0,
) -> Look:
    """The first look at a piece of the ledger from the offset `first` on: entries last queued at least `age_ms` ago
    that the transport doesn't have, oldest first, at most `limit`."""
    arguments = (owner.ledger, owner.epoch, age_ms, limit, transport.stem, transport.suffix, first)
    reply = run(client, Call("stranded", transport_keys(keys, transport), arguments))
    if reply[0] != b"stranded":
        return Look((), 0)
    entries = (Stranded(member.decode(), token.decode(), copy, payload) for member, token, copy, payload in reply[1])
    return Look(tuple(entries), int(reply[2]))


def redeliver(
    client: redis.Redis,
    keys: LedgerKeys,
    transport: Transport,
    owner: Ownership,
    entry: Stranded,
    *,
    message: bytes,
    age_ms: int,
    max_deliveries: int,
    error: str,
) -> Redelivered:
    """The second look, and in the same script the push of the next copy, or the end with `error` after too many."""
    arguments = (
        owner.ledger, owner.epoch, entry.member, entry.token, entry.copy, message, age_ms, max_deliveries,
        transport.stem, transport.suffix, error,
    )  # fmt: skip
    return Redelivered(run(client, Call("redeliver", transport_keys(keys, transport), arguments))[0].decode())


def transport_keys(keys: LedgerKeys, transport: Transport) -> tuple[str, ...]:
    """The keys of the scripts that look into the transport."""
    return (*keys.all, transport.queue_key, transport.unacked_key, transport.unacked_index_key)
