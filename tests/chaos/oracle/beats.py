"""Beat's schedule: each run sent once, and none missing while a beat and Valkey were there. Pure."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Full, Held, Part
from tests.chaos.kinds import BEATS
from tests.chaos.oracle.sentences import some
from tests.chaos.oracle.spans import common, length_without
from tests.chaos.system import STATUS_SECONDS
from tests.chaos.ticks import RAN, SENDING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.effects import Effect, History
    from tests.chaos.oracle.spans import Span
    from tests.chaos.outcome import Run
    from tests.chaos.ticks import Tick

#: Runs are claimed by Valkey's clock, an interval apart; from there to the line a busy machine takes its time.
TWICE_SECONDS = STATUS_SECONDS / 2
#: What a gap may have beyond its interval: beats look again each second, and settle for two after a loss.
BOUND_SECONDS = 5.0
_TRANSPORT_PARTS = {Part.WORKER, Part.WORKER_CHILD, Part.VALKEY}


def wrong_ticks(run: Run, history: History) -> Iterator[str]:
    """Runs that were sent twice or done twice, and gaps."""
    sent = [tick for tick in run.ticks if tick.what == SENDING]
    if not sent:
        yield "beat never sent anything"
        return
    for before, tick in pairwise(sent):
        if tick.at - before.at < TWICE_SECONDS and not _excused(history, before, tick):
            yield (
                f"beat sent the same run twice: {before.task_id} (process {before.pid}) and {tick.task_id} "
                f"(process {tick.pid}) {tick.at - before.at:.2f} s apart, expected {STATUS_SECONDS} s"
            )
    yield from _gaps(run, history, sent)
    yield from _done_twice(run, history, sent)


def _excused(history: History, before: Tick, tick: Tick) -> Effect | None:
    """Redis forgot or was away, or a beat stood still between its claim and what it then sent."""
    start, end = before.at - STATUS_SECONDS, tick.at
    for effect in history.effects:
        if _stops_valkey(effect) and effect.touches(start, end):
            return effect
    return history.of_process(Held, before.pid, start, end) or history.of_process(Held, tick.pid, start, end)


def _gaps(run: Run, history: History, sent: Sequence[Tick]) -> Iterator[str]:
    nobody = [*_without_valkey(history), *_without_beats(run)]
    for start, end in pairwise([*(tick.at for tick in sent), run.drained.ended]):
        seconds = length_without((start, end), nobody)
        most = STATUS_SECONDS * (1 + _lost_runs(run, start, end)) + BOUND_SECONDS
        if seconds > most:
            yield (
                f"beat sent nothing for {seconds:.1f} s while a beat and Valkey were there, expected {most:g} s at "
                f"most (from {start:.1f})"
            )


def _lost_runs(run: Run, start: float, end: float) -> int:
    """Each fault of a beat or of Valkey may have taken along one run that was claimed and not yet sent."""
    parts = {Part.BEAT, Part.VALKEY}
    return sum(
        any(effect.part in parts and effect.touches(start, end) for effect in fault.effects) for fault in run.faults
    )


def _without_valkey(history: History) -> list[Span]:
    return [(effect.at, effect.until) for effect in history.effects if _stops_valkey(effect)]


def _stops_valkey(effect: Effect) -> bool:
    return (
        effect.part is Part.VALKEY
        and isinstance(effect, (Away, Full, Forgot))
        and not (isinstance(effect, Forgot) and effect.partition is not None)
    )


def _without_beats(run: Run) -> list[Span]:
    """When both were down: killed and not yet back, or held."""
    one, other = ([(fault.at, fault.healed) for fault in run.faults if fault.target == target] for (target,) in BEATS)
    return common(one, other)


def _done_twice(run: Run, history: History, sent: Sequence[Tick]) -> Iterator[str]:
    done = [tick for tick in run.ticks if tick.what == RAN]
    if unknown := sorted({tick.task_id for tick in done} - {tick.task_id for tick in sent}):
        yield f"{len(unknown)} runs of the schedule were done that no beat sent: {some(unknown)}"
    for task_id, times in Counter(tick.task_id for tick in done).items():
        moments = [tick.at for tick in done if tick.task_id == task_id]
        if times > 1 and not any(
            effect.part in _TRANSPORT_PARTS and effect.touches(moments[0] - STATUS_SECONDS, moments[-1])
            for effect in history.effects
        ):
            yield f"the run {task_id} of the schedule was done {times} times"
