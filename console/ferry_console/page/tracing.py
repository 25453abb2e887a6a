"""Watch one message until its end: look by look, with what earlier looks have told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ferry_console.page.broadcast import Broadcast, Look
from ferry_console.page.events import Event
from ferry_console.page.way import FINISHED, MOVING, Moments, remembered, way
from ferry_console.trace.document import document, moment_or_null

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_console.page.way import Step
    from ferry_console.trace.findings import Findings
    from ferry_shared.record import TaskId

#: Four times a second while it can move on, half as often while nothing is known to be on its way.
MOVING_SECONDS, RESTING_SECONDS = 0.25, 0.5
#: Different messages watched at the same time.
MOST_TRACES = 50
#: Of a longer text the beginning is sent: it goes out again and again.
MOST_CHARACTERS = 4_000


class Finder(Protocol):
    """Finds out where one message is."""

    def find(self) -> Findings:
        """Ask both servers once; what could not be found out is told in the findings."""
        ...

    def close(self) -> None:
        """Give connections back; `find` can open them again."""
        ...


class Trace:
    """One message that is watched."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._moments = Moments()

    def look(self) -> Look:
        """Where it is now."""
        findings = self._finder.find()
        self._moments = remembered(self._moments, findings)
        where = findings.whereabouts
        told = cut(document(findings)) | {
            "way": [_step(step) for step in way(findings, self._moments)],
            "finished": where in FINISHED,
        }
        again = MOVING_SECONDS if where in MOVING else RESTING_SECONDS
        return Look(Event("trace", told, is_last=where in FINISHED), again)


class Traces:
    """All messages that are watched, each by one reader."""

    def __init__(self, finder: Callable[[TaskId], Finder], is_stopping: Callable[[], bool]) -> None:
        self._finder = finder
        self._is_stopping = is_stopping
        self._broadcasts: dict[TaskId, Broadcast] = {}

    def of(self, task_id: TaskId) -> Broadcast | None:
        """What is told of a message; None: too many others are watched."""
        self._broadcasts = {known: one for known, one in self._broadcasts.items() if one.watchers or known == task_id}
        if task_id not in self._broadcasts:
            if len(self._broadcasts) >= MOST_TRACES:
                return None
            finder = self._finder(task_id)
            self._broadcasts[task_id] = Broadcast(Trace(finder).look, is_stopping=self._is_stopping, rest=finder.close)
        return self._broadcasts[task_id]


def cut(told: Any) -> Any:
    """A document with long texts by their beginnings."""
    if isinstance(told, dict):
        return {name: cut(value) for name, value in told.items()}
    if isinstance(told, list):
        return [cut(value) for value in told]
    if isinstance(told, str) and len(told) > MOST_CHARACTERS:
        return f"{told[:MOST_CHARACTERS]}… ({len(told):,} characters)"
    return told


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "reached": str(step.reached), "at": moment_or_null(step.at_ms)}
