"""How often a loss of Redis' data may let a message be started, be queued and end."""

from collections.abc import Mapping
from typing import NamedTuple

#: How often a message of a kind is started, and queued, where nothing goes wrong; any other kind: once.
_RUNS_OF_KIND = {"retry": 2}


class Origin(NamedTuple):
    """Where a message is in Kafka."""

    partition: int
    offset: int


class AtRisk(NamedTuple):
    """What one loss may repeat: of the first `sent` messages those at or above the offset of their partition.

    A partition that isn't named has lost nothing.
    """

    committed: Mapping[int, int]
    sent: int

    def includes(self, number: int, origin: Origin) -> bool:
        """Whether it may repeat the message that was the `number`th to be sent, counted from 0."""
        first = self.committed.get(origin.partition)
        return number < self.sent and first is not None and origin.offset >= first


class Counts(NamedTuple):
    """What was seen of one message. `queued` leaves out the copies that replaced one which had vanished, or a batch."""

    started: int
    queued: int
    done: int
    dead: int


def is_explained(counts: Counts, kind: str, losses: int) -> bool:
    """Whether `losses` that put the message at risk can have made these counts, each repeating it at most once.

    Without any it was started and queued exactly as often as its kind needs.
    """
    runs = _RUNS_OF_KIND.get(kind, 1)
    most = runs * (1 + losses)
    if losses == 0 and (counts.started, counts.queued) != (runs, runs):
        return False
    return max(counts.started, counts.queued) <= most and max(counts.done, counts.dead) <= 1 + losses
