"""Every second run of a task needs a reason: the claim of the one before had expired, or was lost with Redis. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Held, Killed, Left, Part, Rewound
from tests.chaos.evidence import OPERATOR, place_of
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.batches import Turn, held_since, ran_into_limit, soft_limit_struck, turn_of
from tests.chaos.oracle.explanation import Explanation, Repeat
from tests.chaos.oracle.losses import lost_with_redis, was_committed
from tests.chaos.tags import Tag, is_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.evidence import Evidence, Execution
    from tests.chaos.limits import Limits

_CLOCK_SECONDS = 0.2
#: From the ledger's reply to a claim to the task's own first line, on a busy machine.
CLAIMING_SECONDS = 2.0


def repeated_executions(evidence: Evidence, limits: Limits) -> Iterator[Repeat]:
    """Every run of an id after its first, explained or not."""
    for task_id, runs in evidence.executions_of.items():
        for before, run in pairwise(runs):
            yield Repeat("execution", task_id, run.started, _explained(evidence, limits, before, run))


def _explained(evidence: Evidence, limits: Limits, before: Execution, run: Execution) -> Explanation | None:
    if before.how == "asked" and Tag.of(run.tag).is_attempt_after(Tag.of(before.tag)):
        return Explanation("the task asked for a retry")
    if soft_limit_struck(evidence, limits, before, run.tag, run.started):
        return Explanation("put off: its batch's soft limit struck")
    turn = turn_of(evidence, before)
    return (
        _rewound_or_forgotten(evidence, turn, before, run)
        or _never_ended(evidence, limits, turn, before, run)
        or _never_recorded(evidence, turn, before, run)
        or _lost_with_its_batch(evidence, limits, turn, before, run)
    )


def _rewound_or_forgotten(evidence: Evidence, turn: Turn, before: Execution, run: Execution) -> Explanation | None:
    if rewound := _rewound(evidence, before, run):
        return Explanation("rewound by an operator", rewound.fault)
    claims = (before.started, turn.began, turn.began - CLAIMING_SECONDS)
    # A batch's ledger learns of an end with that of later ones.
    told = turn.told_by(before) if is_batch(before.tag) else None
    for learned, what in (*((claimed, "claim") for claimed in claims), (before.ended, "end"), (told, "end")):
        if learned is not None and (forgot := _lost(evidence, run, learned)):
            return Explanation(f"the record of its {what} was lost with Redis", forgot.fault)
    return None


def _rewound(evidence: Evidence, before: Execution, run: Execution) -> Rewound | None:
    """In between, or shortly before: copies from before it run until a consumer has taken the partition up there."""
    place, history = place_of(run.task_id), evidence.history
    since, until = before.started - _CLOCK_SECONDS, run.started + _CLOCK_SECONDS
    taken_up = [line.at for line in evidence.taken_up(place, since, until, OPERATOR)]
    return history.rewound(*place, before.started, run.started) or (
        history.rewound(*place, 0.0, max(taken_up)) if taken_up else None
    )


def _lost(evidence: Evidence, run: Execution, learned: float) -> Forgot | None:
    """What was committed isn't dispatched again; only a Redis that went back in time brings its copies back."""
    forgot = lost_with_redis(evidence, run.task_id, learned, run.started)
    if forgot is None or forgot.since > 0.0 or not was_committed(evidence, run.task_id, forgot.at):
        return forgot
    return None


def _never_ended(
    evidence: Evidence, limits: Limits, turn: Turn, before: Execution, run: Execution
) -> Explanation | None:
    """Its own process died under it, or stood still until the claim ran out, or the message wanted it so."""
    began = held_since(evidence, turn)
    if before.ended is None and before is evidence.executions_of[run.task_id][0]:
        match evidence.log.get(run.task_id):
            case Behaviour.EXITS:
                return Explanation("its process ended itself")
            case Behaviour.HANGS if run.started >= began + limits.hard_seconds - _CLOCK_SECONDS:
                return Explanation("it hung until its hard limit")
    if before.ended is None and (
        ended := evidence.history.of_process((Killed, Left), before.pid, before.started - _CLOCK_SECONDS, run.started)
    ):
        return Explanation("its process was killed", ended.fault)
    over = began + limits.lease_seconds
    if (before.ended is None or before.ended > over) and run.started >= over - _CLOCK_SECONDS:
        held = evidence.history.of_process(Held, before.pid, before.started - _CLOCK_SECONDS, over)
        return Explanation("its claim had expired", held.fault) if held else None
    return None


def _never_recorded(evidence: Evidence, turn: Turn, before: Execution, run: Execution) -> Explanation | None:
    """It ran to its end, and its process died, or Redis was away, before that was recorded."""
    if before.ended is None or run.started < before.ended or turn.had_told(before):
        return None
    end = turn.told_by(before)
    away = evidence.history.touching(Away, {Part.VALKEY}, before.ended - _CLOCK_SECONDS, end)
    # Where a later message of its batch never ended, nobody had yet tried.
    if away and end < float("inf"):
        return Explanation("Redis was away when its end was to be recorded", away.fault)
    killed = evidence.history.of_process(Killed, before.pid, before.ended - _CLOCK_SECONDS, min(end, run.started))
    if killed:
        return Explanation("its process was killed before its end was recorded", killed.fault)
    return None


def _lost_with_its_batch(
    evidence: Evidence, limits: Limits, turn: Turn, before: Execution, run: Execution
) -> Explanation | None:
    """It ran in the last 50 ms before the message at which its batch's process ended, or was ended."""
    last = turn.last
    if not is_batch(before.tag) or run.started < last.started:
        return None
    if before is not last and (before.ended is None or turn.had_told(before)):
        return None
    if before is not last and last.ended is None and evidence.log.get(last.task_id) is Behaviour.EXITS:
        return Explanation("another message of its batch ended its process before its end was recorded")
    if limit := ran_into_limit(evidence, limits, turn, run.started):
        return limit
    kinds, until = (Held, Left), min(turn.told_by(before), run.started)
    stopped = evidence.history.of_process(kinds, last.pid, last.started - _CLOCK_SECONDS, until)
    return (
        Explanation("its process stood still or left before its end was recorded", stopped.fault) if stopped else None
    )
