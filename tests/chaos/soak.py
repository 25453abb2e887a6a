"""`soak`: a long run with a fault a minute, that asks whether memory grows and what remains in Redis."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.chaos import record
from tests.chaos.kinds import KINDS, Kind, Resource
from tests.chaos.limits import Limits
from tests.chaos.memory import SAMPLE_SECONDS, Sampler, as_table, growth_of, problems_of
from tests.chaos.messages import CALM_SHARES, payloads
from tests.chaos.oracle.verdict import Demands, Verdict, judge
from tests.chaos.plan import Planned
from tests.chaos.repeatedly import repeatedly
from tests.chaos.run import Task, carry_out

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.chaos.display import Display
    from tests.chaos.system import System

SOAK_SECONDS = 1_200.0
SOAK_RATE = 300
FAULT_EVERY_SECONDS = 60.0
SAMPLES_FILE = "memory.tsv"
#: These live from the beginning to the end: a process that has just started says nothing about growth.
SPARED = frozenset({Resource.CONSUMER_B, Resource.WORKER_B, Resource.BEAT_B})
#: These come first. After them a consumer has the most to catch up with, a worker meets an outage: what memory that
#: takes once the allocator keeps, and only what comes on top of it later is growth.
FIRST = (
    "Kafka away",
    "Valkey away",
    "Valkey killed, data gone",
    "consumer held beyond its session",
    "partitions added",
)


def soak_plan(seed: int, seconds: float) -> tuple[Planned, ...]:
    """A fault in the middle of each minute; every kind that spares one process of each role, before one comes again."""
    chance = random.Random(f"soak {seed}")
    kinds = [kind for kind in KINDS if _sparing(kind)]
    order = [kind for kind in chance.sample(kinds, len(kinds)) if kind.name not in FIRST]
    order += [kind for kind in kinds if kind.name in FIRST]
    faults = []
    for number in range(1, int(seconds // FAULT_EVERY_SECONDS) + 1):
        order = order or chance.sample(kinds, len(kinds))
        kind = order.pop()
        at = (number - 0.5) * FAULT_EVERY_SECONDS
        faults.append(Planned(number, at, kind, _sparing(kind)[0], kind.shortest, chance.random()))
    return tuple(faults)


def _sparing(kind: Kind) -> list[tuple[Resource, ...]]:
    return [target for target in kind.targets if not SPARED & set(target)]


def soak(task: Task, display: Display) -> Verdict:
    """Run, judge, write the record."""
    limits, faults = Limits(batch_size=task.batch_size), soak_plan(task.seed, task.seconds)
    samplers: list[Sampler] = []

    def watched(system: System) -> AbstractContextManager[None]:
        samplers.append(Sampler(system))
        return repeatedly("memory", SAMPLE_SECONDS, samplers[0].sample)

    values = payloads(task.seed, CALM_SHARES)
    run, evidence = carry_out(task, limits, faults, values, display, watched)
    kinds = len({fault.kind.name for fault in faults})
    demands = Demands(faults=len(faults), kinds=kinds, with_enough_in_flight=0, kills_of_each=0)
    verdict = judge(evidence, run, limits, demands)
    (task.directory / SAMPLES_FILE).write_text(as_table(samplers[0].samples))
    growths = growth_of(samplers[0].samples, task.seconds)
    verdict = replace(verdict, problems=(*verdict.problems, *problems_of(growths)))
    record.write(task, run, evidence, verdict, growths)
    return verdict
