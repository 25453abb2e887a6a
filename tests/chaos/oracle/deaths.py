"""Whether a message had to become a dead letter, as itself or by the fault that hit the process that ran it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.copies import Happened
from tests.chaos.effects import Away, Held, Killed, Left, Part
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.explanation import Explanation
from tests.chaos.tags import is_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.chaos.effects import Effect
    from tests.chaos.evidence import DeadLetter, Evidence, Execution

#: The defaults of WORKER_MAX_CLAIMS and CONSUMER_MAX_DELIVERIES.
MAX_CLAIMS = 3
MAX_DELIVERIES = 5
INVALID_REASONS = frozenset({"invalid", "not-json"})
_CLOCK_SECONDS = 0.2
#: From a task's last line to the ledger's record of it, on a busy machine.
_RECORDING_SECONDS = 2.0


def why_dead(evidence: Evidence, letter: DeadLetter) -> Explanation | None:
    """The reason that the letter names must be what the message asks for, or what a fault did to its own runs."""
    behaviour = evidence.log.get(letter.task_id)
    runs = [run for run in evidence.executions_of.get(letter.task_id, ()) if run.started <= letter.at + _CLOCK_SECONDS]
    match behaviour, letter.reason:
        case Behaviour.INVALID, reason if reason in INVALID_REASONS:
            return Explanation("the message is invalid")
        case Behaviour.RAISES, "ValueError" if any(run.how == "raised" for run in runs):
            return Explanation("the task raised")
        case None | Behaviour.INVALID, _:
            return None
    return _by_a_fault(evidence, letter, runs)


def _by_a_fault(evidence: Evidence, letter: DeadLetter, runs: Sequence[Execution]) -> Explanation | None:
    # A batch neither fails at its hard limit nor is poison: its messages go on one by one, each with all its starts.
    alone = [run for run in runs if not is_batch(run.tag)]
    match letter.reason:
        case "TimeLimitExceeded":
            return _over_its_limit(evidence, letter, alone)
        case "poison":
            return _claimed_too_often(evidence, alone)
        case "never-acknowledged":
            return _vanished_too_often(evidence, letter)
    return None


def _over_its_limit(evidence: Evidence, letter: DeadLetter, runs: Sequence[Execution]) -> Explanation | None:
    for run in runs:
        if evidence.log[run.task_id] is Behaviour.HANGS and run.ended is None:
            return Explanation("it hung until its hard limit")
        if held := evidence.history.of_process(Held, run.pid, run.started - _CLOCK_SECONDS, letter.at):
            return Explanation("its process stood still beyond its hard limit", held.fault)
    return None if _has_begun(evidence, letter) else _held_before_its_first_line(evidence, letter)


def _has_begun(evidence: Evidence, letter: DeadLetter) -> bool:
    """Whether a task wrote its first line by the last copy that was queued before the letter."""
    queued = [push.at for push in evidence.pushes_of.get(letter.task_id, ()) if push.at < letter.at]
    since = max(queued, default=0.0)
    return any(since <= run.started <= letter.at for run in evidence.executions_of.get(letter.task_id, ()))


def _held_before_its_first_line(evidence: Evidence, letter: DeadLetter) -> Explanation | None:
    """A process that was running nothing else was stopped as it took the task, and still stood when the limit struck.

    It had one task in its hands, so that explains one dead letter.
    """
    pushes = evidence.pushes_of.get(letter.task_id, ())
    struck = _struck(evidence, letter)
    for effect in evidence.history.effects:
        if (
            isinstance(effect, Held) and effect.part is Part.WORKER_CHILD
            and any(push.at <= effect.at for push in pushes) and effect.at < letter.at
            and effect.until >= struck - _CLOCK_SECONDS
            and not _was_busy(evidence, effect) and _is_first(evidence, letter, effect)
        ):  # fmt: skip
            return Explanation("its process stood still beyond its hard limit", effect.fault)
    return None


def _struck(evidence: Evidence, letter: DeadLetter) -> float:
    """When the limit struck: the worker acknowledged the last copy; where that isn't known, the letter's time."""
    tags = [push.tag for push in evidence.pushes_of.get(letter.task_id, ()) if push.at < letter.at]
    steps = evidence.copies.get(tags[-1], ()) if tags else ()
    return max(
        (step.at for step in steps if step.what is Happened.ACKNOWLEDGED and step.at < letter.at), default=letter.at
    )


def _was_busy(evidence: Evidence, held: Held) -> bool:
    return any(
        run.pid == held.pid and run.started <= held.at and (run.ended is None or run.ended > held.at)
        for run in evidence.executions
    )


def _is_first(evidence: Evidence, letter: DeadLetter, held: Held) -> bool:
    """Whether no other such dead letter came before it."""
    return not any(
        other.reason == letter.reason and held.at < other.at < letter.at and not _has_begun(evidence, other)
        for other in evidence.dead_letters
    )  # fmt: skip


def _claimed_too_often(evidence: Evidence, runs: Iterable[Execution]) -> Explanation | None:
    """Each of so many runs ended with its process, or could not tell that it had ended."""
    faults = [fault for run in runs if (fault := _outcome_lost(evidence, run)) is not None]
    if len(faults) < MAX_CLAIMS:
        return None
    return Explanation("so many of its runs were ended with their processes", faults[-1])


def _outcome_lost(evidence: Evidence, run: Execution) -> int | None:
    """The number of the fault that took this run's outcome; 0 if the message did."""
    start, end = run.started - _CLOCK_SECONDS, (run.ended or run.started) + _RECORDING_SECONDS
    if run.ended is None and evidence.log.get(run.task_id) in {Behaviour.EXITS, Behaviour.HANGS}:
        return 0
    until = float("inf") if run.ended is None else end
    effect: Effect | None = evidence.history.of_process((Killed, Left, Held), run.pid, start, until)
    if effect is None and run.ended is not None:
        effect = evidence.history.touching(Away, {Part.VALKEY}, start, end)
    return effect.fault if effect else None


def _vanished_too_often(evidence: Evidence, letter: DeadLetter) -> Explanation | None:
    """Every copy that was replaced has been judged as a repetition; so many of them are needed."""
    copies = [
        push
        for push in evidence.pushes_of.get(letter.task_id, ())
        if push.at <= letter.at and push.cause in {Cause.DISPATCH, Cause.RETRY, Cause.REDELIVERY}
    ]
    again = [push for push in copies if push.cause is Cause.REDELIVERY]
    if len(again) < MAX_DELIVERIES - 1:
        return None
    ended = evidence.history.touching((Killed, Held, Left), {Part.WORKER, Part.WORKER_CHILD}, again[-1].at, letter.at)
    away = evidence.history.touching(Away, {Part.VALKEY}, again[-1].at, letter.at)
    cause = ended or away
    return Explanation("all of its copies vanished", cause.fault) if cause else None
