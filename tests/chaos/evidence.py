"""What a run left behind, as frozen records: from the task's own file, MONITOR, Kafka, and the consumers' logs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from tests.chaos.messages import Behaviour, behaviour_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.chaos.commits import Commits
    from tests.chaos.copies import Step
    from tests.chaos.effects import History
    from tests.chaos.monitor_lines import Push


class Place(NamedTuple):
    """Where a message lies in the topic."""

    partition: int
    offset: int


def place_of(task_id: str) -> Place:
    """Read `topic-partition-offset`."""
    _, partition, offset = task_id.rsplit("-", 2)
    return Place(int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of the task. `how` it ended is None where its process ended first; then so is `ended`.

    `serial` is that of the message that it was given; `worker_pid` the process that started its process.
    """

    task_id: str
    tag: str
    serial: int
    pid: int
    worker_pid: int
    started: float
    ended: float | None = None
    how: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic, at the time that Kafka has for it.

    `task_id` is made of the place that its headers name as its origin; `named` is the id in its own header.
    """

    task_id: str
    at: float
    reason: str
    named: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A consumer's line: it took a partition up at an offset."""

    at: float
    partition: int
    offset: int
    reason: str


#: What an acquisition's line calls an offset that an operator has set.
OPERATOR = "operator"
#: The same where the ledger is gone; one that went back too far counts as lost, with all that it still holds.
LEDGER_LOST = "ledger_lost"


@dataclass(frozen=True, slots=True)
class RedeliveryLine:
    """A consumer's line: a task's message had vanished, and it queued another."""

    at: float
    task_id: str


@dataclass(frozen=True, slots=True)
class LetterLine:
    """A consumer's line: the process `pid` has handed a dead letter to Kafka's client."""

    at: float
    task_id: str
    pid: int


@dataclass(frozen=True)
class Evidence:
    """All that a verdict is based on.

    `values` is the topic as a plain consumer read it at the end, by task id; `copies` tells by delivery tag what
    happened to the copies of each task that was queued more than once.
    """

    values: Mapping[str, bytes]
    pushes: Sequence[Push]
    copies: Mapping[str, Sequence[Step]]
    executions: Sequence[Execution]
    dead_letters: Sequence[DeadLetter]
    acquisitions: Sequence[Acquisition]
    redeliveries: Sequence[RedeliveryLine]
    letter_lines: Sequence[LetterLine]
    commits: Commits
    history: History

    @cached_property
    def log(self) -> Mapping[str, Behaviour]:
        """What each message of the topic asks for."""
        return {task_id: behaviour_of(value) for task_id, value in self.values.items()}

    @cached_property
    def pushes_of(self) -> Mapping[str, Sequence[Push]]:
        """The queued copies of each id, oldest first."""
        return _by_id(self.pushes, lambda push: push.at)

    @cached_property
    def executions_of(self) -> Mapping[str, Sequence[Execution]]:
        """The runs of each id, oldest first."""
        return _by_id(self.executions, lambda execution: execution.started)

    @cached_property
    def executions_with(self) -> Mapping[str, Sequence[Execution]]:
        """The runs of each copy by its delivery tag, oldest first: of a batch those of all its messages."""
        found: dict[str, list[Execution]] = defaultdict(list)
        for run in sorted(self.executions, key=lambda execution: execution.started):
            found[run.tag].append(run)
        return found

    @cached_property
    def dead_letters_of(self) -> Mapping[str, Sequence[DeadLetter]]:
        """The dead letters of each id, oldest first."""
        return _by_id(self.dead_letters, lambda letter: letter.at)

    @cached_property
    def letter_lines_of(self) -> Mapping[str, Sequence[LetterLine]]:
        """What the consumers said of the dead letters of each id, oldest first."""
        return _by_id(self.letter_lines, lambda line: line.at)

    @cached_property
    def redelivered_at(self) -> Mapping[str, Sequence[float]]:
        """When the consumers said that they queued an id again."""
        lines_of = _by_id(self.redeliveries, lambda line: line.at)
        return {task_id: [line.at for line in lines] for task_id, lines in lines_of.items()}

    def acquired(self, partition: int, since: float, until: float) -> list[Acquisition]:
        """The acquisitions of a partition in that time."""
        return [line for line in self.acquisitions if line.partition == partition and since <= line.at <= until]

    def taken_up(self, place: Place, since: float, until: float, reason: str | None = None) -> list[Acquisition]:
        """Those of its partition that began at it or below; for one reason, or for any."""
        return [
            line
            for line in self.acquired(place.partition, since, until)
            if line.offset <= place.offset and reason in {None, line.reason}
        ]

    def asked_before(self, task_id: str, moment: float) -> list[Execution]:
        """The runs that had asked for a retry by then."""
        return [
            run
            for run in self.executions_of.get(task_id, ())
            if run.how == "asked" and run.ended is not None and run.ended <= moment
        ]


class _HasTaskId(Protocol):
    @property
    def task_id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasTaskId)


def _by_id(items: Iterable[_Item], time_of: Callable[[_Item], float]) -> dict[str, list[_Item]]:
    found: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        found[item.task_id].append(item)
    return {task_id: sorted(own, key=time_of) for task_id, own in found.items()}
