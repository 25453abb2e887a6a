"""Evidence of runs that never were, for the oracles' tests: what happened, in a few words."""

from dataclasses import dataclass, field

from tests.chaos.effects import Effect, History
from tests.chaos.evidence import Acquisition, DeadLetter, Evidence, Execution, RedeliveryLine
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause, Push

TASK = "chaos-0-5"


@dataclass
class Story:
    """One message (or several) and what became of it; `evidence` is what a run would have left."""

    log: dict[str, Behaviour] = field(default_factory=lambda: {TASK: Behaviour.ORDINARY})
    pushes: list[Push] = field(default_factory=list)
    takes: dict[str, list[float]] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    acquisitions: list[Acquisition] = field(default_factory=list)
    redeliveries: list[RedeliveryLine] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def push(self, at: float, cause: Cause = Cause.DISPATCH, *, copy: str = "1.1.1", task_id: str = TASK) -> "Story":
        """A copy enters the queue."""
        self.pushes.append(Push(at, cause, task_id, f"ledger/{task_id}/{copy}"))
        return self

    def taken(self, at: float, *, copy: str = "1.1.1") -> "Story":
        """A worker takes a copy."""
        self.takes.setdefault(f"ledger/{TASK}/{copy}", []).append(at)
        return self

    def run(
        self,
        started: float,
        ended: float | None = None,
        how: str | None = "done",
        *,
        pid: int = 100,
        copy: str = "1.1.1",
        task_id: str = TASK,
    ) -> "Story":
        """The task runs; without `ended` its process ends first."""
        tag = f"ledger/{task_id}/{copy}"
        self.executions.append(Execution(task_id, tag, pid, started, ended, None if ended is None else how))
        return self

    def dead(self, at: float, reason: str = "invalid", task_id: str = TASK) -> "Story":
        """A dead letter."""
        self.dead_letters.append(DeadLetter(task_id, at, reason))
        return self

    def acquired(self, at: float, offset: int, partition: int = 0, reason: str = "continued") -> "Story":
        """A consumer takes the partition up."""
        self.acquisitions.append(Acquisition(at, partition, offset, reason))
        return self

    def said_redelivered(self, at: float) -> "Story":
        """A consumer says that it queued the task again."""
        self.redeliveries.append(RedeliveryLine(at, TASK))
        return self

    def when(self, *effects: Effect) -> "Story":
        """What faults did."""
        self.effects.extend(effects)
        return self

    def of(self, behaviour: Behaviour) -> "Story":
        """What the message asks for."""
        self.log[TASK] = behaviour
        return self

    @property
    def evidence(self) -> Evidence:
        """Frozen."""
        return Evidence(
            dict(self.log), tuple(self.pushes), dict(self.takes), tuple(self.executions), tuple(self.dead_letters),
            tuple(self.acquisitions), tuple(self.redeliveries), History(tuple(self.effects)),
        )  # fmt: skip
