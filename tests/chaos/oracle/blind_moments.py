"""What MONITOR had no time to tell: a server that is killed takes along what it had not yet sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Part
from tests.chaos.monitor_lines import Push
from tests.chaos.tags import Tag, first_cause, is_batch

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence, Execution

#: How far MONITOR is behind at most, and how long a worker keeps what it had taken until Redis is back.
BEFORE_SECONDS = 2.0
AFTER_SECONDS = 30.0


@dataclass(frozen=True)
class Completed:
    """Evidence whose pushes include copies that only their execution tells of.

    `inferred` are those; `unseen` are executed copies that nothing explains: then the record has a hole.
    """

    evidence: Evidence
    inferred: tuple[Push, ...]
    unseen: tuple[str, ...]


def completed(evidence: Evidence) -> Completed:
    """Add a queueing for each executed copy that was taken from the queue right before Valkey was killed."""
    seen = {(push.tag, push.task_id) for push in evidence.pushes}
    batched = {push.task_id for push in evidence.pushes if is_batch(push.tag)}
    inferred: list[Push] = []
    unseen: set[str] = set()
    for run in evidence.executions:
        if (run.tag, run.task_id) in seen:
            continue
        kill = _kill_around(evidence, run)
        if kill is None:
            unseen.add(run.tag)
            continue
        cause = first_cause(run.tag, left_batch=run.task_id in batched)
        # A batch was queued whole, however few of its messages ran before another one took over.
        for task_id in {run.task_id, *Tag.of(run.tag).task_ids}:
            inferred.append(Push(min(run.started, kill.at), cause, task_id, run.tag))
            seen.add((run.tag, task_id))
    pushes = sorted([*evidence.pushes, *inferred], key=lambda push: push.at)
    return Completed(replace(evidence, pushes=pushes), tuple(inferred), tuple(sorted(unseen)))


def _kill_around(evidence: Evidence, run: Execution) -> Forgot | None:
    for effect in evidence.history.effects:
        if (
            isinstance(effect, Forgot)
            and _was_killed(evidence, effect)
            and effect.at - BEFORE_SECONDS <= run.started <= effect.until + AFTER_SECONDS
        ):
            return effect
    return None


def _was_killed(evidence: Evidence, forgot: Forgot) -> bool:
    """Evictions and FLUSHALL leave the server, and MONITOR with it, as they are."""
    return any(
        isinstance(effect, Away) and effect.part is Part.VALKEY and effect.fault == forgot.fault
        for effect in evidence.history.effects
    )
