"""The account of a demo: every message sent must be printed by the worker once, or be a dead letter."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Printed:
    """A message that the worker printed: its task id and how long after its sending the task started."""

    task_id: str
    text: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the messages of one run; task ids throughout."""

    #: How many were given to the producers; `sent` are those that Kafka holds.
    given: int
    sent: frozenset[str]
    done: frozenset[str]
    dead: frozenset[str]
    #: Printed more than once, or printed and a dead letter.
    repeated: frozenset[str]
    latencies_ms: tuple[float, ...]

    @property
    def missing(self) -> frozenset[str]:
        """Sent, and neither printed nor a dead letter."""
        return self.sent - self.done - self.dead

    @property
    def complete(self) -> bool:
        """Whether given = sent = done + dead letters, with nothing repeated."""
        return self.given == len(self.sent) and not self.missing and not self.repeated


def settle(given: int, sent: Collection[str], printed: Sequence[Printed], dead: Sequence[str]) -> Account:
    """Account for `sent`; what others sent meanwhile is left out.

    `printed` and `dead` hold one element a line printed and a dead letter found.
    """
    ours = frozenset(sent)
    lines = [line for line in printed if line.task_id in ours]
    times = Counter(line.task_id for line in lines)
    times.update(task_id for task_id in dead if task_id in ours)
    return Account(
        given=given,
        sent=ours,
        done=frozenset(line.task_id for line in lines),
        dead=frozenset(dead) & ours,
        repeated=frozenset(task_id for task_id, count in times.items() if count > 1),
        latencies_ms=tuple(sorted(line.latency_ms for line in lines)),
    )


def percentile(sorted_values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank); raises on no values."""
    if not sorted_values:
        raise ValueError("a percentile needs values")
    rank = -(-len(sorted_values) * percent // _PERCENT)  # rounded up
    return sorted_values[max(rank, 1) - 1]
