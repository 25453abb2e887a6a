"""What a run left behind, as frozen records: from the task's own file, MONITOR, Kafka, and the consumers' logs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.chaos.effects import History
    from tests.chaos.messages import Behaviour
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
    """One run of the task. `how` it ended is None where its process ended first; then so is `ended`."""

    task_id: str
    tag: str
    pid: int
    started: float
    ended: float | None = None
    how: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic, at the time that Kafka has for it."""

    task_id: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A consumer's line: it took a partition up at an offset."""

    at: float
    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class RedeliveryLine:
    """A consumer's line: a task's message had vanished, and it queued another."""

    at: float
    task_id: str


@dataclass(frozen=True)
class Evidence:
    """All that a verdict is based on.

    `log` is the topic as a plain consumer read it at the end; `takes` tells by delivery tag when workers took a copy.
    """

    log: Mapping[str, Behaviour]
    pushes: Sequence[Push]
    takes: Mapping[str, Sequence[float]]
    executions: Sequence[Execution]
    dead_letters: Sequence[DeadLetter]
    acquisitions: Sequence[Acquisition]
    redeliveries: Sequence[RedeliveryLine]
    history: History

    @cached_property
    def pushes_of(self) -> Mapping[str, Sequence[Push]]:
        """The queued copies of each id, oldest first."""
        return _by_id(self.pushes, lambda push: push.at)

    @cached_property
    def executions_of(self) -> Mapping[str, Sequence[Execution]]:
        """The runs of each id, oldest first."""
        return _by_id(self.executions, lambda execution: execution.started)

    @cached_property
    def dead_letters_of(self) -> Mapping[str, Sequence[DeadLetter]]:
        """The dead letters of each id, oldest first."""
        return _by_id(self.dead_letters, lambda letter: letter.at)

    @cached_property
    def redelivered_at(self) -> Mapping[str, Sequence[float]]:
        """When the consumers said that they queued an id again."""
        lines_of = _by_id(self.redeliveries, lambda line: line.at)
        return {task_id: [line.at for line in lines] for task_id, lines in lines_of.items()}

    def asked_before(self, task_id: str, moment: float) -> int:
        """How often the task had asked for a retry."""
        return sum(
            run.how == "asked" and run.ended is not None and run.ended <= moment
            for run in self.executions_of.get(task_id, ())
        )


class _HasTaskId(Protocol):
    @property
    def task_id(self) -> str: ...


_Item = TypeVar("_Item", bound=_HasTaskId)


def _by_id(items: Iterable[_Item], time_of: Callable[[_Item], float]) -> dict[str, list[_Item]]:
    found: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        found[item.task_id].append(item)
    return {task_id: sorted(own, key=time_of) for task_id, own in found.items()}
