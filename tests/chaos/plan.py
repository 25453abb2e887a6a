"""Which faults come when: a pure function of the seed and the length of the run."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.kinds import KINDS, MOST_OF_A_KIND, Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Before the first fault everything has started and runs.
LEAD_SECONDS = 6.0
FULL_RUN_SECONDS = 600.0
FEWEST_FAULTS = 12
_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come, `at` seconds after the load has begun; `draw` is its own share of chance (0 to 1)."""

    number: int
    at: float
    kind: Kind
    resources: tuple[Resource, ...]
    seconds: float
    draw: float

    @property
    def target(self) -> Resource:
        """What it hits."""
        return self.resources[0]

    @property
    def over_at(self) -> float:
        """When it is expected to be healed and proven."""
        return self.at + self.seconds + self.kind.settle


def plan(seed: int, seconds: float, kinds: Sequence[Kind] = KINDS) -> tuple[Planned, ...]:
    """Spread the faults over the run, every kind once before any comes again; all begin before the run ends.

    A run of 10 minutes or more holds each kind as often as its `count`; a shorter one fewer, other kinds with every
    seed, each as short as it can be. No two faults that need the same resource overlap.

    Raises:
        ValueError: so many faults don't fit into so few seconds.
    """
    for draw in range(_DRAWS):
        planned = _drawn(random.Random(f"{seed}/{draw}"), seconds, kinds)
        if planned[-1].at <= seconds - LEAD_SECONDS:
            return planned
    raise ValueError(f"{FEWEST_FAULTS} faults and more don't fit into {seconds:g} s: expected 120 s or more")


def _drawn(chance: random.Random, seconds: float, kinds: Sequence[Kind]) -> tuple[Planned, ...]:
    waiting = _chosen(chance, seconds, kinds)
    gap = (seconds - 2 * LEAD_SECONDS) / len(waiting)
    turns = Counter({kind.name: chance.randrange(2) for kind in kinds})
    free_at: dict[Resource, float] = dict.fromkeys(Resource, 0.0)
    planned: list[Planned] = []
    while waiting:
        slot = LEAD_SECONDS + gap * (len(planned) + chance.uniform(0.0, 0.7))
        slot = max(slot, planned[-1].at if planned else 0.0)
        kind = min(waiting, key=lambda kind: max(slot, _start(_target(kind, turns), free_at)))
        waiting.remove(kind)
        resources = _target(kind, turns)
        turns[kind.name] += 1
        longest = kind.longest if seconds >= FULL_RUN_SECONDS else kind.shortest
        fault = Planned(
            len(planned) + 1,
            round(max(slot, _start(resources, free_at)), 1),
            kind,
            resources,
            round(chance.uniform(kind.shortest, longest), 1),
            chance.random(),
        )
        planned.append(fault)
        free_at |= dict.fromkeys(resources, fault.over_at)
    return tuple(planned)


def _chosen(chance: random.Random, seconds: float, kinds: Sequence[Kind]) -> list[Kind]:
    """In the order in which they shall come, as far as their resources allow."""
    rounds = [[kind for kind in kinds if kind.count > turn] for turn in range(MOST_OF_A_KIND)]
    for row in rounds:
        chance.shuffle(row)
    every = [kind for row in rounds for kind in row]
    wanted = max(FEWEST_FAULTS, round(len(every) * seconds / FULL_RUN_SECONDS))
    chosen = every[: min(wanted, len(every))]
    chance.shuffle(chosen)
    return chosen


def _target(kind: Kind, turns: Counter[str]) -> tuple[Resource, ...]:
    return kind.targets[turns[kind.name] % len(kind.targets)]


def _start(resources: tuple[Resource, ...], free_at: dict[Resource, float]) -> float:
    return max(free_at[resource] for resource in resources)
