"""What happened to a copy of a message in Redis, step by step: queued, taken, acknowledged, handed back, gone. Pure.

The order is the server's own. A hand-back removes the copy from `unacked` and pushes it in one script, and a redelivery
does so with the copy before (a division with the batch): nothing else comes between, so their two notes follow each
other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.chaos.monitor_lines import Cause
from tests.chaos.observer import (
    ATTACHED,
    DETACHED,
    EMPTIED,
    FOUND,
    IN_QUEUE,
    IN_UNACKED,
    PUSHED,
    REMOVED,
    TAKEN,
)
from tests.chaos.tags import Tag, task_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class Happened(StrEnum):
    """One step."""

    QUEUED = "queued"
    TAKEN = "taken"
    ACKNOWLEDGED = "acknowledged"
    HANDED_BACK = "handed back"
    #: Removed from `unacked` by the script that queued the next copy.
    REPLACED = "replaced"
    #: The server has nothing any more, or, after its start, only what the steps that follow say.
    FORGOTTEN = "forgotten"


_STEPS = {
    (PUSHED, ""): Happened.QUEUED,
    (TAKEN, ""): Happened.TAKEN,
    (REMOVED, ""): Happened.ACKNOWLEDGED,
    (FOUND, IN_QUEUE): Happened.QUEUED,
    (FOUND, IN_UNACKED): Happened.TAKEN,
}


@dataclass(frozen=True, slots=True)
class Step:
    """Something happened to a copy at the server's time."""

    at: float
    what: Happened


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a copy is: how often in the queue, as far as pops were noted; since when a worker has it, if one does."""

    waiting: int = 0
    taken_at: float | None = None

    def after(self, step: Step) -> Standing:
        """Where it is after the next step."""
        match step.what:
            case Happened.QUEUED:
                return Standing(self.waiting + 1, self.taken_at)
            case Happened.TAKEN:
                return Standing(max(0, self.waiting - 1), step.at)
            case Happened.HANDED_BACK:
                return Standing(self.waiting + 1, None)
            case Happened.ACKNOWLEDGED | Happened.REPLACED:
                return Standing(self.waiting, None)
            case Happened.FORGOTTEN:
                return Standing()


def standing_after(steps: Iterable[Step]) -> Standing:
    """Where a copy is after all of its steps."""
    standing = Standing()
    for step in steps:
        standing = standing.after(step)
    return standing


def until(steps: Sequence[Step], moment: float, last: Happened | None = None) -> Sequence[Step]:
    """The steps before a moment, without the one at that moment if it is `last`."""
    before = [step for step in steps if step.at <= moment]
    if last is not None and before and before[-1].what is last:
        before.pop()
    return before


def read_copies(lines: Iterable[str], tasks: Collection[str]) -> dict[str, list[Step]]:
    """Read the observer's notes; the steps of the copies of these tasks (as tags name them), by delivery tag."""
    found: dict[str, list[Step]] = defaultdict(list)
    removed = ""
    for line in lines:
        what, at, *fields = line.rstrip("\n").split("\t")
        just_removed, removed = removed, ""
        if what in {ATTACHED, EMPTIED}:
            for steps in found.values():
                steps.append(Step(float(at), Happened.FORGOTTEN))
        elif what != DETACHED and task_in(tag := _tag(what, fields)) in tasks:
            if what == PUSHED and just_removed:
                found[just_removed].pop()
                found[just_removed].append(Step(float(at), _taken_away(just_removed, tag, fields[0])))
            if not (what == PUSHED and just_removed == tag):
                found[tag].append(Step(float(at), _STEPS[what, fields[-1] if what == FOUND else ""]))
            removed = tag if what == REMOVED else ""
    return dict(found)


def _tag(what: str, fields: Sequence[str]) -> str:
    return fields[{PUSHED: 2, FOUND: 1}.get(what, 0)]


def _taken_away(removed: str, pushed: str, cause: str) -> Happened:
    if removed == pushed:
        return Happened.HANDED_BACK
    divided = cause == Cause.DIVISION and task_in(pushed) in Tag.of(removed).task_ids
    return Happened.REPLACED if divided or task_in(removed) == task_in(pushed) else Happened.ACKNOWLEDGED
