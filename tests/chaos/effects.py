"""What faults did to the system, in terms in which their consequences can be judged. Times are those of the host."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Between the server's clock, as MONITOR tells it, and the harness' own.
_CLOCK_SECONDS = 0.05


class Part(StrEnum):
    """A process of the system, or what it can lose sight of."""

    CONSUMER = "consumer"
    WORKER = "worker"
    WORKER_CHILD = "worker child"
    BEAT = "beat"
    VALKEY = "valkey"
    KAFKA = "kafka"
    #: Valkey as the consumers see it, through the proxy.
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that was so from `at` to `until`; `fault` is the number of the fault that did it."""

    fault: int
    part: Part
    at: float
    until: float

    def touches(self, start: float, end: float) -> bool:
        """Whether it was so at any moment between."""
        return self.at <= end and self.until >= start


@dataclass(frozen=True, slots=True)
class Killed(Effect):
    """A process got SIGKILL at `at` and was gone at `until`; an orphan's end is only known to lie between."""

    pid: int


@dataclass(frozen=True, slots=True)
class Held(Effect):
    """A process stood still (SIGSTOP)."""

    pid: int


@dataclass(frozen=True, slots=True)
class Left(Effect):
    """A process was asked to end (SIGTERM), and did."""

    pid: int


@dataclass(frozen=True, slots=True)
class Away(Effect):
    """A server could not be reached, or did not answer."""


@dataclass(frozen=True, slots=True)
class Full(Effect):
    """Valkey refused what adds to its memory."""


@dataclass(frozen=True, slots=True)
class Forgot(Effect):
    """Valkey lost what it had learned after `since` (0: everything), of one partition or of all."""

    since: float = 0.0
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Rewound(Effect):
    """An operator set the group's offsets, by partition."""

    offsets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """All effects of a run; each question is answered by the first that fits, or None."""

    effects: tuple[Effect, ...]

    def narrowed(self, losses: Sequence[float]) -> History:
        """The same, where losses of Valkey end at the moment at which it was seen emptied, or started again."""
        return History(tuple(_narrowed(effect, losses) if _is_whole(effect) else effect for effect in self.effects))

    def touching(
        self, kinds: type[Effect] | tuple[type[Effect], ...], parts: set[Part], start: float, end: float
    ) -> Effect | None:
        """An effect of these kinds on one of these parts, between two moments."""
        for effect in self.effects:
            if isinstance(effect, kinds) and effect.part in parts and effect.touches(start, end):
                return effect
        return None

    def of_process(
        self, kinds: type[Effect] | tuple[type[Effect], ...], pid: int, start: float, end: float
    ) -> Effect | None:
        """An effect of these kinds on one process, between two moments."""
        for effect in self.effects:
            if isinstance(effect, kinds) and getattr(effect, "pid", None) == pid and effect.touches(start, end):
                return effect
        return None

    def forgot(self, partition: int, learned: float, again: float) -> Forgot | None:
        """Valkey forgot, before `again`, what it had learned at `learned` of a partition."""
        for loss in self.losses(partition):
            if loss.since <= learned <= loss.until and loss.at <= again:
                return loss
        return None

    def losses(self, partition: int) -> list[Forgot]:
        """Each time that Valkey forgot something of a partition, in the order in which they were told."""
        return [
            effect for effect in self.effects if isinstance(effect, Forgot) and effect.partition in {None, partition}
        ]

    def rewound(self, partition: int, offset: int, before: float, again: float) -> Rewound | None:
        """An operator set a partition back to this offset or below, between two moments."""
        for effect in self.effects:
            if (
                isinstance(effect, Rewound)
                and effect.touches(before, again)
                and effect.offsets.get(partition, offset + 1) <= offset
            ):
                return effect
        return None


def _is_whole(effect: Effect) -> bool:
    return isinstance(effect, Forgot) and effect.partition is None


def _narrowed(effect: Effect, losses: Sequence[float]) -> Effect:
    within = [at for at in losses if effect.at - _CLOCK_SECONDS <= at <= effect.until + _CLOCK_SECONDS]
    return replace(effect, until=max(within)) if within else effect
