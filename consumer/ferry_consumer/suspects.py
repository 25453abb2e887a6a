"""Entries of one partition whose message was missing at a first look, and how far that look has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferry_shared.ledger.redelivery import Look, Stranded

#: While so many wait for their second look nothing new is looked for.
MAX_SUSPECTS = 1_000

_Copy = tuple[str, str, int]


@dataclass(slots=True)
class Suspects:
    """`next` is the offset at which the next first look begins; a copy that was queued since is another one."""

    next: int = 0
    _since: dict[_Copy, tuple[float, Stranded]] = field(default_factory=dict)

    @property
    def are_too_many(self) -> bool:
        """Kafka is away, or everything has vanished: more would only fill the memory."""
        return len(self._since) >= MAX_SUSPECTS

    def note(self, look: Look, now: float) -> None:
        """Remember what a first look found at `now` (s), and where the next one begins."""
        for entry in look.entries:
            self._since.setdefault(_copy(entry), (now, entry))
        self.next = look.next

    def ripe(self, until: float, limit: int) -> list[Stranded]:
        """At most so many of those that were first missed at `until` (s) or before, the longest missed first."""
        found = [entry for since, entry in self._since.values() if since <= until]
        return found[:limit]

    def settle(self, entry: Stranded) -> None:
        """It has had its second look."""
        self._since.pop(_copy(entry), None)


def _copy(entry: Stranded) -> _Copy:
    return entry.member, entry.token, entry.copy
