"""Look at all ledgers of a group without touching them: how far each partition is now, whoever owns it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.consumer_ledger import Condition, Head
from ferry_shared.ledger.keys import LedgerKeys, ledger_stem
from ferry_shared.ledger.scripts import Call, run_all
from ferry_shared.ledger.untracked import untracked_of
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_shared.ledger.untracked import Untracked

#: Keys looked at by one SCAN: it blocks the server for about a millisecond.
_KEYS_AT_ONCE = 5_000
_GLOB_SPECIAL = re.compile(r"[\\*?\[\]^-]")


@dataclass(frozen=True, slots=True)
class LedgerView:
    """One partition's ledger at `now_ms`, the server's time.

    `head` is None where there is no readable ledger. `lowest` is the member of the lowest entry in flight, and
    `dispatched_ms` when that was dispatched (None: nothing is in flight, or it isn't known).
    """

    condition: Condition
    now_ms: int
    head: Head | None
    lowest: str | None
    dispatched_ms: int | None

    @property
    def in_flight(self) -> int:
        """Messages dispatched and not yet ended."""
        return self._count("messages")

    @property
    def dead_letters(self) -> int:
        """Dead letters that Kafka has acknowledged."""
        return self._count("dead_letters")

    @property
    def restored(self) -> int:
        """Copies that the transport handed back."""
        return self._count("restored")

    @property
    def rewound(self) -> int:
        """Offsets dispatched again after an operator's rewind or a loss in Redis."""
        return self._count("rewound")

    @property
    def untracked(self) -> tuple[Untracked, ...]:
        """Tasks that have received messages of this partition and can't run them."""
        return untracked_of(self.head.fields) if self.head else ()

    def _count(self, name: str) -> int:
        text = self.head.fields.get(name, "") if self.head else ""
        return int(text) if text.isascii() and text.isdigit() else 0


def view_ledgers(
    client: redis.Redis, key_prefix: str, group: str, places: Sequence[TopicPartition]
) -> list[LedgerView]:
    """Read these partitions' ledgers in two round trips; one that can't be read counts as damaged.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    calls = [Call("overview", LedgerKeys.of(key_prefix, group, place).all, ()) for place in places]
    # The first one teaches a server the script that doesn't know it; else each of hundreds would ask again by itself.
    replies = run_all(client, calls[:1]) + run_all(client, calls[1:])
    return [_view(reply) for reply in replies]


def find_places(client: redis.Redis, key_prefix: str, group: str, seconds: float) -> tuple[list[TopicPartition], bool]:
    """Find a group's ledgers by looking through Redis' keys, and tell whether the time sufficed for all keys.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    stem = ledger_stem(key_prefix, group)
    named = re.compile(re.escape(stem) + r"(?P<topic>[^:]*):(?P<partition>[0-9]{1,10})\}:head", re.DOTALL)
    deadline, cursor, found = time.monotonic() + seconds, 0, set()
    while True:
        with translated():
            reply: Any = client.scan(cursor, match=f"{glob_literal(stem)}*:head", count=_KEYS_AT_ONCE)
        cursor, names = reply
        for name in names:
            if match := named.fullmatch(name.decode("utf-8", "replace")):
                found.add(TopicPartition(unquote(match["topic"]), int(match["partition"])))
        if not cursor or time.monotonic() > deadline:
            return sorted(found), not cursor


def glob_literal(text: str) -> str:
    """A pattern of SCAN's that matches exactly this text."""
    return _GLOB_SPECIAL.sub(r"\\\g<0>", text)


def _view(reply: Any) -> LedgerView:
    if isinstance(reply, Exception):
        return LedgerView(Condition.DAMAGED, 0, None, None, None)
    condition, now_ms, flat, lowest, dispatched_ms = reply
    return LedgerView(
        Condition(condition.decode()), int(now_ms), head_of(flat), lowest.decode() or None, int(dispatched_ms) or None
    )


def head_of(flat: Sequence[bytes]) -> Head | None:
    """Read HGETALL's answer; None when it is empty."""
    words = [word.decode("utf-8", "replace") for word in flat]
    return Head.of(dict(zip(words[::2], words[1::2], strict=True))) if words else None
