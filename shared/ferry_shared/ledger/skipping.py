"""End an entry from outside, without its lease: it has failed, and the consumer writes its dead letter."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ferry_shared.ledger.scripts import Call, run

if TYPE_CHECKING:
    import redis

    from ferry_shared.ledger.keys import LedgerKeys


class Skipped(StrEnum):
    """What became of it: `FAILED` had failed before, `GONE` has ended or was never dispatched."""

    SKIPPED = "skipped"
    FAILED = "failed"
    GONE = "gone"
    NO_LEDGER = "no-ledger"


def skip(client: redis.Redis, keys: LedgerKeys, member: str, error: str, *, dry_run: bool = False) -> Skipped:
    """Let an entry end as a dead letter with `error` (`reason: detail`), whether it waits, runs or is to be retried.

    A worker that runs it goes on, and what it says afterwards no longer counts. With `dry_run` nothing is changed.

    Raises:
        RedisUnavailable: whether it was skipped is unknown; calling again does no harm.
    """
    return Skipped(run(client, Call("skip", keys.all, (member, error, int(dry_run))))[0].decode())
