"""The pauses of the ledger as this consumer knows them: told once, and written again when Redis has lost them."""

from __future__ import annotations

import logging
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ferry_shared.ledger.pauses import Pause, PauseCause, pause

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

    from ferry_shared.ledger.keys import LedgerKeys
    from ferry_shared.ledger.pauses import Pauses
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")


class StandingPauses:
    """What was last read, by `topic` or `topic:partition`, and what is still to be written."""

    def __init__(self, settings: ConsumerSettings, client: redis.Redis) -> None:
        self._place = (settings.ferry_key_prefix, settings.consumer_group)
        self._who = f"consumer {socket.gethostname()}:{os.getpid()}"
        self._client = client
        self._known: dict[str, Pause] = {}
        self._unwritten: dict[str, Pause] = {}
        self._lifted: list[str] = []

    def of(self, keys: LedgerKeys) -> Pause | None:
        """What pauses a partition: its topic's pause, or its own."""
        for field in keys.pause_fields:
            if found := self._unwritten.get(field) or self._known.get(field):
                return found
        return None

    def note(self, keys: LedgerKeys, read: Pauses) -> None:
        """Take over what was read beside a sound head: there a pause that is missing was lifted, not lost."""
        for field, found in zip(keys.pause_fields, read, strict=True):
            self._take_over(field, found)

    def write_again(self, keys: LedgerKeys, read: Pauses) -> None:
        """Redis has lost the ledger, and with it perhaps a pause: what memory still has is written again.

        Raises:
            RedisUnavailable: to be tried again, before anything is dispatched.
        """
        for field, found in zip(keys.pause_fields, read, strict=True):
            known = self._known.get(field)
            if known and not found:
                self._known[field], _ = pause(self._client, *self._place, field, known)
                log.warning("%s: Redis has lost its pause, written again: by %s: %s", field, known.who, known.why)
            else:
                self._take_over(field, found)

    def want(self, topic: str, why: str) -> None:
        """Pause a topic at its dead-letter limit, here at once; `write` makes it known to the others."""
        self._unwritten[topic] = Pause(self._who, 0, why, PauseCause.DEAD_LETTER_LIMIT)

    def write(self) -> None:
        """Write what is wanted; a pause that is there already stays.

        Raises:
            RedisUnavailable: it is written at the next call; here it holds already.
        """
        for topic, wanted in list(self._unwritten.items()):
            self._known[topic], _ = pause(self._client, *self._place, topic, wanted)
            del self._unwritten[topic]

    def keep(self, present: Iterable[LedgerKeys]) -> None:
        """Forget pauses of which nothing is read here any more: they may be lifted unseen."""
        fields = {field for keys in present for field in keys.pause_fields}
        self._known = {field: known for field, known in self._known.items() if field in fields}

    def take_lifted(self) -> list[str]:
        """The topics and partitions that were resumed since the last call."""
        lifted, self._lifted = self._lifted, []
        return lifted

    def _take_over(self, field: str, found: Pause | None) -> None:
        before = self._known.pop(field, None)
        if found:
            self._known[field] = found
        if found and not before:
            log.warning("%s: %s", field, begun(field, found))
        elif before and not found:
            log.warning("%s: resumed; it was paused by %s: %s", field, before.who, before.why)
            self._lifted.append(field)


def begun(field: str, paused: Pause) -> str:
    """One sentence: who, since when, why, and how it ends."""
    since = datetime.fromtimestamp(paused.when_ms / 1000, UTC).isoformat(timespec="seconds")
    return (
        f"intake paused by {paused.who} since {since}: {paused.why}; what is in flight goes on; "
        f"to end it: ferry resume {field}"
    )
