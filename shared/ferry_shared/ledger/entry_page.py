"""Look through everything that is in flight in one ledger, a page at a time, without touching it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_view import EntryState
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.scripts import Call, run_all

if TYPE_CHECKING:
    import redis

    from ferry_shared.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in flight; `dispatched_ms` is the server's time, None where Redis has lost it."""

    member: str
    state: EntryState
    dispatched_ms: int | None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A part of a ledger at `now_ms`, the server's time, lowest offset first.

    The next page begins at the offset `next`, None after the last.
    """

    condition: Condition
    now_ms: int
    entries: tuple[Entry, ...]
    next: int | None


def read_page(
    client: redis.Redis, key_prefix: str, group: str, place: TopicPartition, first: int, limit: int
) -> EntryPage:
    """Read at most `limit` entries from the offset `first` on, in one script; 100 take about a millisecond.

    What ends between two pages is missing from the second; no entry comes twice.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    (reply,) = run_all(client, [Call("page", LedgerKeys.of(key_prefix, group, place).all, (first, limit))])
    if isinstance(reply, Exception):
        return EntryPage(Condition.DAMAGED, 0, (), None)
    condition, now_ms, following, entries = reply
    found = (
        Entry(member.decode(), EntryState.of(orjson.loads(state)), int(dispatched_ms) or None)
        for member, state, dispatched_ms in entries
    )
    return EntryPage(Condition(condition.decode()), int(now_ms), tuple(found), int(following) if following else None)
