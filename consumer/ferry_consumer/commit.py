"""What may be committed, and the signature that tells our commits from an operator's. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferry_shared.ledger.consumer_ledger import Snapshot

_SIGNATURE = re.compile(r"ferry:1:(?P<ledger>[^:]+):(?P<topic_id>[^:]*):(?P<epoch>[0-9]{1,18})")


def committable(snapshot: Snapshot) -> int:
    """The offset below which everything is done: the lowest in flight, or the position when nothing is."""
    return snapshot.position if snapshot.lowest is None else min(snapshot.lowest, snapshot.position)


def to_commit(snapshot: Snapshot, last_committed: int) -> int | None:
    """The offset to commit now; None when Kafka has it already. A commit never goes back."""
    offset = committable(snapshot)
    return offset if offset > last_committed else None


@dataclass(frozen=True, slots=True)
class Signature:
    """The metadata of our commits. One without it was made by an operator: `kafka-consumer-groups` leaves it empty."""

    ledger: str
    topic_id: str
    epoch: int

    def __str__(self) -> str:
        return f"ferry:1:{self.ledger}:{self.topic_id}:{self.epoch}"

    @classmethod
    def parse(cls, metadata: str | None) -> Signature | None:
        """Read commit metadata; None when it isn't ours."""
        match = _SIGNATURE.fullmatch(metadata or "")
        return cls(match["ledger"], match["topic_id"], int(match["epoch"])) if match else None
