"""Messages of a batch that go on by themselves: each gets an entry of its own, in the script that lets go of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ferry_shared.ledger.redelivery import transport_keys
from ferry_shared.ledger.scripts import Call, run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

    from ferry_shared.ledger.consumer_ledger import Ownership
    from ferry_shared.ledger.keys import LedgerKeys
    from ferry_shared.ledger.packing import Word
    from ferry_shared.ledger.redelivery import Stranded, Transport


@dataclass(frozen=True, slots=True)
class QueuedSingle:
    """It has not run, or is to run again now: `celery_message` is its next one."""

    offset: int
    celery_message: bytes

    @property
    def words(self) -> tuple[Word, ...]:
        """As the scripts take it."""
        return ("queued", self.offset, self.celery_message, b"")


@dataclass(frozen=True, slots=True)
class RetriedSingle:
    """It is to run again after `delay_ms`: `stored` is a StoredRetry of its next attempt."""

    offset: int
    delay_ms: int
    stored: bytes

    @property
    def words(self) -> tuple[Word, ...]:
        """As the scripts take it."""
        return ("retry", self.offset, self.delay_ms, self.stored)


@dataclass(frozen=True, slots=True)
class FailedSingle:
    """It has failed for good, and becomes a dead letter."""

    offset: int
    error: str
    payload: bytes

    @property
    def words(self) -> tuple[Word, ...]:
        """As the scripts take it."""
        return ("failed", self.offset, self.error, self.payload)


Single = QueuedSingle | RetriedSingle | FailedSingle


class Divided(StrEnum):
    """What the ledger says. `GONE` and `STALE`: the batch has ended or moved on; `REFUSED`: the ledger isn't ours."""

    DIVIDED = "divided"
    STALE = "stale"
    GONE = "gone"
    REFUSED = "refused"
    NO_LEDGER = "no-ledger"


@dataclass(frozen=True, slots=True)
class DividedBatch:
    """What became of a batch: so many of its messages were queued, so many have failed.

    Up to the offset `done_up_to` nothing was left to do (None: its worker had recorded nothing); from `below` on a
    truncation of the log has taken its messages (None: none).
    """

    outcome: Divided
    queued: int = 0
    failed: int = 0
    done_up_to: int | None = None
    below: int | None = None


def divide(
    client: redis.Redis,
    keys: LedgerKeys,
    transport: Transport,
    owner: Ownership,
    entry: Stranded,
    *,
    age_ms: int,
    failed: bool,
    singles: Iterable[Single],
) -> DividedBatch:
    """End a batch that has `failed` as a whole, or that nobody holds and whose message has vanished since `age_ms`.

    `singles` are all its messages; those that its worker has recorded already are passed over.

    Raises:
        RedisUnavailable: whether it happened is unknown; asked again, it is gone.
    """
    arguments = (
        owner.ledger, owner.epoch, entry.member, entry.token, entry.copy, age_ms, transport.stem, transport.suffix,
        int(failed), *(word for single in singles for word in single.words),
    )  # fmt: skip
    reply = run(client, Call("divide", transport_keys(keys, transport), arguments))
    outcome = Divided(reply[0].decode())
    if outcome is not Divided.DIVIDED:
        return DividedBatch(outcome)
    done_up_to, below = (int(offset) if offset else None for offset in reply[3:])
    return DividedBatch(outcome, reply[1], reply[2], done_up_to, below)
