"""Evidence of runs that never were, for the oracles' tests: what happened, in a few words."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.chaos.commits import Commits, Sample
from tests.chaos.copies import Happened, Step
from tests.chaos.effects import Effect, History
from tests.chaos.evidence import Acquisition, DeadLetter, Evidence, Execution, LetterLine, RedeliveryLine, place_of
from tests.chaos.messages import Behaviour, payload
from tests.chaos.monitor_lines import Cause, Push
from tests.chaos.tags import copy_before

TASK = "chaos-0-5"
#: A batch that it is the first of, as its tag names it, and the ids in it.
BATCH = "chaos-0-5-9-5"
BATCHED = tuple(f"chaos-0-{offset}" for offset in range(5, 10))
WORKER_PID = 99


@dataclass
class Story:
    """One message (or several) and what became of it; `evidence` is what a run would have left.

    A message's serial is its offset.
    """

    log: dict[str, Behaviour] = field(default_factory=lambda: {TASK: Behaviour.ORDINARY})
    pushes: list[Push] = field(default_factory=list)
    steps: list[tuple[str, Step]] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    acquisitions: list[Acquisition] = field(default_factory=list)
    redeliveries: list[RedeliveryLine] = field(default_factory=list)
    letter_lines: list[LetterLine] = field(default_factory=list)
    commits: dict[int, list[Sample]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)

    def push(self, at: float, cause: Cause = Cause.DISPATCH, *, copy: str = "1.1.1", task_id: str = TASK) -> "Story":
        """A copy enters the queue, as MONITOR tells it."""
        tag = f"ledger/{task_id}/{copy}"
        self.pushes.append(Push(at, cause, task_id, tag))
        if cause is Cause.REDELIVERY and (older := copy_before(tag)):
            self.steps.append((older, Step(at, Happened.REPLACED)))
        self.steps.append((tag, Step(at, Happened.HANDED_BACK if cause is Cause.TRANSPORT else Happened.QUEUED)))
        return self

    def push_batch(self, at: float, cause: Cause = Cause.DISPATCH, *, copy: str = "1.1.1") -> "Story":
        """A copy of the batch enters the queue, with its five messages."""
        tag = f"ledger/{BATCH}/{copy}"
        self.pushes.extend(Push(at, cause, task_id, tag) for task_id in BATCHED)
        self.log = dict.fromkeys(BATCHED, Behaviour.ORDINARY) | self.log
        self.steps.append((tag, Step(at, Happened.HANDED_BACK if cause is Cause.TRANSPORT else Happened.QUEUED)))
        return self

    def taken(self, at: float, *, copy: str = "1.1.1", task: str = TASK) -> "Story":
        """A worker takes a copy."""
        return self._step(at, Happened.TAKEN, copy, task)

    def acknowledged(self, at: float, *, copy: str = "1.1.1", task: str = TASK) -> "Story":
        """A worker acknowledges it."""
        return self._step(at, Happened.ACKNOWLEDGED, copy, task)

    def forgotten(self, at: float, *, copy: str = "1.1.1", task: str = TASK) -> "Story":
        """Redis doesn't have it any more."""
        return self._step(at, Happened.FORGOTTEN, copy, task)

    def _step(self, at: float, what: Happened, copy: str, task: str) -> "Story":
        self.steps.append((f"ledger/{task}/{copy}", Step(at, what)))
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
        batch: bool = False,
    ) -> "Story":
        """The task runs, by itself or in the batch; without `ended` its process ends first."""
        tag = f"ledger/{BATCH if batch else task_id}/{copy}"
        serial = place_of(task_id).offset
        how = None if ended is None else how
        self.executions.append(Execution(task_id, tag, serial, pid, WORKER_PID, started, ended, how))
        return self

    def dead(self, at: float, reason: str = "invalid", task_id: str = TASK, *, pid: int = 50) -> "Story":
        """A dead letter, which that consumer's process has written."""
        value = payload(place_of(task_id).offset, self.log.get(task_id, Behaviour.INVALID))
        self.dead_letters.append(DeadLetter(task_id, at, reason, task_id, value))
        self.letter_lines.append(LetterLine(at, task_id, pid))
        return self

    def committed(self, at: float, offset: int, partition: int = 0) -> "Story":
        """Kafka says that the group has committed so far."""
        self.commits[partition] = sorted([*self.commits.get(partition, ()), Sample(at, offset)])
        return self

    def acquired(self, at: float, offset: int, partition: int = 0, reason: str = "continued") -> "Story":
        """A consumer takes the partition up."""
        self.acquisitions.append(Acquisition(at, partition, offset, reason))
        return self

    def said_redelivered(self, at: float) -> "Story":
        """A consumer says that it queued the task again."""
        self.redeliveries.append(RedeliveryLine(at, TASK))
        return self

    def runs_in_batch(self, *times: tuple[float, float | None], pid: int = 100, first: int = 0) -> "Story":
        """So many of the batch's messages run one after the other, from the one with that index on."""
        for task_id, (started, ended) in zip(BATCHED[first:], times, strict=False):
            self.run(started, ended, pid=pid, task_id=task_id, batch=True)
        return self

    def when(self, *effects: Effect) -> "Story":
        """What faults did."""
        self.effects.extend(effects)
        return self

    def of(self, behaviour: Behaviour, task_id: str = TASK) -> "Story":
        """What the message asks for."""
        self.log[task_id] = behaviour
        return self

    @property
    def evidence(self) -> Evidence:
        """Frozen."""
        copies: dict[str, list[Step]] = defaultdict(list)
        for tag, step in sorted(self.steps, key=lambda pair: pair[1].at):
            copies[tag].append(step)
        values = {task_id: payload(place_of(task_id).offset, behaviour) for task_id, behaviour in self.log.items()}
        return Evidence(
            values, tuple(self.pushes), copies, tuple(self.executions), tuple(self.dead_letters),
            tuple(self.acquisitions), tuple(self.redeliveries), tuple(self.letter_lines), Commits(self.commits),
            History(tuple(self.effects)),
        )  # fmt: skip
