"""What may take a copy out of a worker's hands, or out of Redis, before its task has run to its end. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Full, Held, Killed, Left, Part
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.batches import ran_into_limit, turns_of
from tests.chaos.oracle.explanation import Explanation
from tests.chaos.tags import is_batch

if TYPE_CHECKING:
    from tests.chaos.effects import Effect
    from tests.chaos.evidence import Evidence, Execution
    from tests.chaos.limits import Limits

_WORKER_PARTS = {Part.WORKER, Part.WORKER_CHILD}
#: A worker notes what it took right after it took it; the task's file and MONITOR have the same clock.
_CLOCK_SECONDS = 0.2


def trouble(evidence: Evidence, limits: Limits, what: str, tag: str, start: float, end: float) -> Explanation | None:
    """Why a copy that a worker had from `start` on was not acknowledged until `end`.

    Where the task had begun, only what happened to its own process or its own worker counts, or to Redis. A batch at
    its hard limit is given back by its own worker.
    """
    turns = [turn for turn in turns_of(evidence, tag) if start - _CLOCK_SECONDS <= turn.began <= end]
    runs = [run for turn in turns for run in turn.runs if run.started <= end]
    if any(_ended_itself(evidence, run) for run in runs):
        return Explanation(f"{what}: its own process ended")
    if effect := _worker_trouble(evidence, runs, start, end):
        return Explanation(f"{what}: a worker died, stood still or left", effect.fault)
    for turn in turns:
        if limit := ran_into_limit(evidence, limits, turn, end):
            return replace(limit, cause=f"{what}: {limit.cause}")
    for kinds, why in (((Forgot, Away), "Redis lost it or was away"), ((Full,), "Redis was full")):
        if effect := evidence.history.touching(kinds, {Part.VALKEY}, start - _CLOCK_SECONDS, end):
            return Explanation(f"{what}: {why}", effect.fault)
    return None


def outlived_claim(
    evidence: Evidence, what: str, tag: str, acknowledged: float, began_until: float
) -> Explanation | None:
    """Why a copy was acknowledged unrun: a run of it had lost its process, and nobody could release its claim.

    The worker's parent releases it, unless it died as well, or Redis had trouble at that moment. A batch is also given
    up, with its claim, by a process that lives on.
    """
    for turn in turns_of(evidence, tag):
        run = turn.last
        if turn.began > min(acknowledged, began_until + _CLOCK_SECONDS):
            continue
        if run.ended is not None and not is_batch(tag):
            continue
        start = run.started - _CLOCK_SECONDS
        gone = evidence.history.of_process((Killed, Left), run.pid, start, acknowledged) or _ended_itself(evidence, run)
        unreleased = evidence.history.touching(
            (Away, Forgot, Full), {Part.VALKEY}, start, acknowledged
        ) or evidence.history.of_process((Killed, Left), run.worker_pid, start, acknowledged)
        if unreleased and (gone or is_batch(tag)):
            return Explanation(f"{what}: its process had died, and its claim could not be released", unreleased.fault)
    return None


def _ended_itself(evidence: Evidence, run: Execution) -> bool:
    return run.ended is None and evidence.log.get(run.task_id) is Behaviour.EXITS


def _worker_trouble(evidence: Evidence, runs: list[Execution], start: float, end: float) -> Effect | None:
    kinds, start = (Killed, Held, Left), start - _CLOCK_SECONDS
    if not runs:
        return evidence.history.touching(kinds, _WORKER_PARTS, start, end)
    for pid in (pid for run in runs for pid in (run.pid, run.worker_pid)):
        if effect := evidence.history.of_process(kinds, pid, start, end):
            return effect
    return None
