"""One run from its start to its evidence."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.collecting import collect
from tests.chaos.commits import CommitSampler
from tests.chaos.drain import drain, keys_left
from tests.chaos.evidence_files import read_attachments
from tests.chaos.ferry_counts import ferry_counts
from tests.chaos.injection import Injector
from tests.chaos.load import Load
from tests.chaos.observation import PUSHES_FILE
from tests.chaos.outcome import Run
from tests.chaos.routes import TOPIC
from tests.chaos.system import GROUP, System
from tests.chaos.ticks import TICKS_FILE, read_ticks
from tests.support.kafka_records import end_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.chaos.display import Display
    from tests.chaos.evidence import Evidence
    from tests.chaos.limits import Limits
    from tests.chaos.plan import Planned


@dataclass(frozen=True, slots=True)
class Task:
    """What to do: `seed` determines the faults and the messages; a Celery message carries `batch_size` at most."""

    command: str
    seed: int
    seconds: float
    rate: int
    directory: Path
    batch_size: int = 1

    @property
    def command_line(self) -> str:
        """What repeats it."""
        batches = f" --batch-size {self.batch_size}" if self.batch_size > 1 else ""
        return (
            f"python -m tests.chaos {self.command} --seconds {self.seconds:g} --rate {self.rate} --seed {self.seed}"
            f"{batches}"
        )


def carry_out(
    task: Task,
    limits: Limits,
    faults: Sequence[Planned],
    values: Iterator[bytes],
    display: Display,
    watched: Callable[[System], AbstractContextManager[object]],
) -> tuple[Run, Evidence]:
    """Start the system, load it, inject the faults, drain, stop Ferry, and gather what all that left.

    `watched` is entered while the load and the faults last.
    """
    with ExitStack() as stack:
        system = System(task.directory, limits)
        injector = Injector(system, faults, display.tell)
        # The servers that a fault has started end with its thread.
        stack.callback(injector.close)
        stack.enter_context(system)
        display.tell(f"all is up; {len(faults)} faults, {task.rate} messages a second, for {task.seconds:g} s")
        load = Load(system.kafka.bootstrap_servers, values, task.rate, task.seconds)
        display.follow(lambda: _state(system, load))
        commits = CommitSampler(system.kafka.bootstrap_servers, GROUP, TOPIC, task.directory)
        with watched(system), commits.running():
            load.start()
            records = injector.run(lambda: load.running)
            load.finish()
        drained = drain(system, display, task.seconds)
        counts = ferry_counts(system)
        # What is still on its way, as an orphan's last line, comes before the count.
        system.keeper.close()
        keys = keys_left(system)
        system.observer.close()
        evidence = collect(system, records)
        with (task.directory / PUSHES_FILE).open() as notes:
            observed = tuple(read_attachments(notes))
        with (task.directory / TICKS_FILE).open() as lines:
            ticks = read_ticks(lines)
        partitions = len(end_offsets(system.kafka.bootstrap_servers, TOPIC))
        return Run(
            load.account, records, system.keeper.unexpected, system.keeper.stops, drained, partitions, keys,
            tuple(system.valkey_run_ids), observed, ticks, counts, _harness_cpu(system),
        ), evidence  # fmt: skip


def _state(system: System, load: Load) -> str:
    return f"{load.sent} sent, {system.progress.ended} done, {system.progress.in_flight()} in flight"


def _harness_cpu(system: System) -> float:
    """What the harness itself has used: this process (load, faults, proxy) and the observer."""
    return time.process_time() + system.observer.cpu_seconds
