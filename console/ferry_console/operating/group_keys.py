"""All that Redis holds of a consumer group: found by SCAN, removed in small steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from redis.exceptions import WatchError

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.group_view import LedgerView, glob_literal, view_ledgers
from ferry_shared.ledger.keys import (
    LedgerKeys,
    last_runs_stem,
    ledger_stem,
    pause_key,
    replayed_key,
    status_key,
)
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import redis

#: Keys looked at by one SCAN: it blocks the server for about a millisecond.
_KEYS_AT_ONCE = 5_000
#: Keys removed by one UNLINK, whose memory the server frees in a thread of its own.
_REMOVED_AT_ONCE = 500


class Kind(StrEnum):
    """What a key is for."""

    LEDGER = "ledger"
    STATUS = "status"
    PAUSES = "pauses"
    REPLAYED = "replayed"
    LAST_RUNS = "last runs"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is there: a partition's ledger (`place` and `view`) or a single key, with its names and how many
    entries it has (messages in flight, partitions, pauses, marks, schedule entries)."""

    kind: Kind
    names: tuple[str, ...]
    entries: int
    place: TopicPartition | None = None
    view: LedgerView | None = None


def find_group(client: redis.Redis, prefix: str, group: str) -> list[Found]:
    """Look through all of Redis' keys for those of a group, and at each of its ledgers.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    stem, beats = ledger_stem(prefix, group), last_runs_stem(prefix, group)
    single = {
        status_key(prefix, group): Kind.STATUS,
        pause_key(prefix, group): Kind.PAUSES,
        replayed_key(prefix, group): Kind.REPLAYED,
    }
    names = sorted(
        name for name in _scan(client, f"{prefix}ferry:") if name.startswith((stem, beats)) or name in single
    )
    known = frozenset(names)
    places = {place: parts for place in _places(stem, names) if (parts := _present(prefix, group, place, known))}
    views = view_ledgers(client, prefix, group, sorted(places))
    found = [
        Found(Kind.LEDGER, places[place], view.in_flight, place, view)
        for place, view in zip(sorted(places), views, strict=True)
    ]
    of_ledgers = {name for parts in places.values() for name in parts}
    rest = [name for name in names if name not in of_ledgers]
    kinds = [single.get(name, Kind.LAST_RUNS if name.startswith(beats) else Kind.OTHER) for name in rest]
    sizes = _sizes(client, rest)
    return found + [Found(kind, (name,), size) for kind, name, size in zip(kinds, rest, sizes, strict=True)]


def remove_ledger(client: redis.Redis, prefix: str, group: str, place: TopicPartition, seen: LedgerView) -> bool:
    """Remove a ledger unless somebody has changed it since it was `seen`; tells whether it is gone.

    Raises:
        RedisUnavailable: whether it is gone is unknown.
    """
    names = LedgerKeys.of(prefix, group, place).all
    with translated(), client.pipeline(transaction=True) as pipeline:
        pipeline.watch(*names)
        (now,) = view_ledgers(client, prefix, group, [place])
        if _fingerprint(now) != _fingerprint(seen):
            return False
        pipeline.multi()
        pipeline.unlink(*names)
        try:
            pipeline.execute()
        except WatchError:
            return False
        return True


def remove_keys(client: redis.Redis, names: Sequence[str]) -> None:
    """Remove single keys.

    Raises:
        RedisUnavailable: some may be gone, and some not.
    """
    for first in range(0, len(names), _REMOVED_AT_ONCE):
        with translated():
            client.unlink(*names[first : first + _REMOVED_AT_ONCE])


def _fingerprint(view: LedgerView) -> tuple[Any, ...]:
    """What changes with every change that matters."""
    return view.condition, view.head.fields if view.head else None, view.lowest


def _scan(client: redis.Redis, stem: str) -> set[str]:
    cursor, found = 0, set[str]()
    while True:
        with translated():
            reply: Any = client.scan(cursor, match=f"{glob_literal(stem)}*", count=_KEYS_AT_ONCE)
        cursor, names = reply
        # A name that isn't UTF-8 is none of Ferry's.
        found |= {name.decode("utf-8", "replace") for name in names}
        if not cursor:
            return found


def _places(stem: str, names: Sequence[str]) -> set[TopicPartition]:
    named = re.compile(re.escape(stem) + r"(?P<topic>[^:]*):(?P<partition>[0-9]{1,10})\}:\w+", re.DOTALL)
    return {
        TopicPartition(unquote(match["topic"]), int(match["partition"]))
        for name in names
        if (match := named.fullmatch(name))
    }


def _present(prefix: str, group: str, place: TopicPartition, names: Collection[str]) -> tuple[str, ...]:
    own = LedgerKeys.of(prefix, group, place).all
    return tuple(name for name in own if name in names)


def _sizes(client: redis.Redis, names: Sequence[str]) -> list[int]:
    """How many fields each has; 1 for what is no hash."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.hlen(name)
    with translated():
        replies = pipeline.execute(raise_on_error=False)
    return [1 if isinstance(reply, Exception) else int(reply) for reply in replies]
