"""One run from its start to its verdict."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.collecting import collect
from tests.chaos.drain import drain
from tests.chaos.evidence_files import read_attachments
from tests.chaos.injection import Injector
from tests.chaos.limits import Limits
from tests.chaos.load import Load
from tests.chaos.messages import payloads
from tests.chaos.observation import PUSHES_FILE
from tests.chaos.oracle.verdict import Demands, Run, Verdict, judge
from tests.chaos.plan import plan
from tests.chaos.system import System

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.drain import Drained
    from tests.chaos.evidence import Evidence
    from tests.chaos.plan import Planned


@dataclass(frozen=True, slots=True)
class Task:
    """What to do: `seed` determines the faults and the messages."""

    seed: int
    seconds: float
    rate: int
    directory: Path


def mixture(task: Task, demands: Demands, tell: Callable[[str], None]) -> tuple[Run, Evidence, Verdict]:
    """A random mixture of faults under load; then drain, count, judge."""
    limits, faults = Limits(), plan(task.seed, task.seconds)
    with ExitStack() as stack:
        system = System(task.directory, limits)
        injector = Injector(system, faults, tell)
        # The servers that a fault has started end with its thread.
        stack.callback(injector.close)
        stack.enter_context(system)
        tell(
            f"all is up in {task.directory}; {len(faults)} faults in {task.seconds:g} s, {task.rate} messages a second"
        )
        load = Load(system.kafka.bootstrap_servers, payloads(task.seed), task.rate, task.seconds)
        load.start()
        records = injector.run(lambda: load.running)
        load.finish()
        drained = drain(system, tell)
        # What is still on its way, as an orphan's last line, comes before the count.
        system.keeper.close()
        system.observer.close()
        evidence = collect(system, records)
        with (task.directory / PUSHES_FILE).open() as notes:
            observed = len(set(read_attachments(notes)))
        run = Run(
            load.sent, load.acknowledged, load.refused, records, system.keeper.unexpected, drained,
            system.valkey_starts, observed,
        )  # fmt: skip
    return run, evidence, judge(evidence, run, limits, demands)
