"""A batch in a worker's process, by what its messages' tasks wrote: since when, how far it was told, what ended it.

Measured against what people are told of batches: the ledger knows every 50 ms how far one is, nothing more of it is
begun after half of the soft limit, and at the hard limit what is left goes on one by one. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.copies import Happened
from tests.chaos.effects import Away, Effect, Forgot, Full, Held, Part
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.explanation import Explanation
from tests.chaos.tags import Tag, is_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.evidence import Evidence, Execution
    from tests.chaos.limits import Limits

PROGRESS_SECONDS = 0.05
#: From a task's own last line to the ledger's record of it, on a busy machine.
RECORDING_SECONDS = 2.0
#: From the beginning of a limit to the first task's first line, and between two clocks.
CLOCK_SECONDS = 0.2
_BEFORE_THE_CLAIM = {Part.VALKEY, Part.WORKER, Part.WORKER_CHILD}


@dataclass(frozen=True, slots=True)
class Turn:
    """One process at work on one copy: of a batch its messages in their order, else the one run."""

    runs: Sequence[Execution]

    @property
    def tag(self) -> str:
        """The copy's."""
        return self.runs[0].tag

    @property
    def began(self) -> float:
        """When the first of its tasks wrote its first line."""
        return self.runs[0].started

    @property
    def last(self) -> Execution:
        """What it was at when it ended."""
        return self.runs[-1]

    def told_by(self, run: Execution) -> float:
        """When the ledger surely knew that this run had ended; infinity where its process ended before that.

        Once 50 ms are over a batch's worker tells it before it begins the next message.
        """
        ended = run.ended
        if ended is None:
            return float("inf")
        before = ended
        for later in self.runs[self.runs.index(run) + 1 :]:
            if before >= ended + PROGRESS_SECONDS:
                return later.started
            if later.ended is None:
                return float("inf")
            before = later.ended
        return before + RECORDING_SECONDS

    def had_told(self, run: Execution) -> bool:
        """Whether a message that came after it began only when the ledger knew that this run had ended."""
        return self.told_by(run) <= self.last.started


def turns_of(evidence: Evidence, tag: str) -> Iterator[Turn]:
    """Each process that worked on that copy; one that began it again has another turn."""
    runs = evidence.executions_with.get(tag, ())
    for pid in dict.fromkeys(run.pid for run in runs):
        turn: list[Execution] = []
        known: set[str] = set()
        for run in runs:
            if run.pid == pid:
                if run.task_id in known:
                    yield Turn(turn)
                    turn, known = [], set()
                turn.append(run)
                known.add(run.task_id)
        yield Turn(turn)


def turn_of(evidence: Evidence, run: Execution) -> Turn:
    """The turn that it belongs to."""
    if not is_batch(run.tag):
        return Turn((run,))
    return next(turn for turn in turns_of(evidence, run.tag) if run in turn.runs)


def held_since(evidence: Evidence, turn: Turn) -> float:
    """Since when its process can have had it: its claim can have waited for Redis, or its process can have stood still.

    A single message's limits are reckoned from its first line.
    """
    if not is_batch(turn.tag):
        return turn.began
    taken = taken_at(evidence, turn.tag, turn.began + CLOCK_SECONDS)
    if taken is None or taken >= turn.began:
        return turn.began
    kinds = (Away, Forgot, Full, Held)
    delay = evidence.history.touching(kinds, _BEFORE_THE_CLAIM, taken, turn.began)
    return max(taken, delay.at) if delay else turn.began


def taken_at(evidence: Evidence, tag: str, until: float) -> float | None:
    """When a worker took that copy, the last time until then; what a restart shows as taken was taken before."""
    taken, before = None, None
    for step in evidence.copies.get(tag, ()):
        if step.at > until:
            break
        if step.what is Happened.TAKEN and (taken is None or before is not Happened.FORGOTTEN):
            taken = step.at
        before = step.what
    return taken


def ran_into_limit(evidence: Evidence, limits: Limits, turn: Turn, until: float) -> Explanation | None:
    """Why a batch had not ended at its hard limit, which was over by then: its process was killed, the rest goes on."""
    since, last = held_since(evidence, turn), turn.last
    over = since + limits.hard_seconds - CLOCK_SECONDS
    if not is_batch(turn.tag) or until < over or (last.ended is not None and last.ended > over + RECORDING_SECONDS):
        return None
    what = "its batch ran into its hard limit"
    if last.ended is None and last is evidence.executions_of[last.task_id][0]:
        match evidence.log.get(last.task_id):
            case Behaviour.HANGS | Behaviour.SLOW as behaviour:
                return Explanation(f"{what}: a message {behaviour}")
    start = last.started - CLOCK_SECONDS
    held: Effect | None = evidence.history.of_process(Held, last.pid, start, until)
    # Between two messages a batch's process waits for Redis; within one it needs nothing of it.
    away = evidence.history.touching((Away, Full), {Part.VALKEY}, start, until) if last.ended is not None else None
    if cause := held or away:
        return Explanation(f"{what}: {'its process stood still' if held else 'Redis was away'}", cause.fault)
    return None


def soft_limit_struck(evidence: Evidence, limits: Limits, run: Execution, next_tag: str, until: float) -> bool:
    """Whether a message was the one under way when its batch's soft limit struck; `next_tag` is that of its next copy.

    It goes on by itself, as a retry; so it must have been the last one.
    """
    if not is_batch(run.tag) or not Tag.of(next_tag).is_attempt_after(Tag.of(run.tag)):
        return False
    causes = {push.cause for push in evidence.pushes_of.get(run.task_id, ()) if push.tag == next_tag}
    if not causes & {Cause.RETRY, Cause.LEFT_BATCH}:
        return False
    turn = turn_of(evidence, run)
    over = held_since(evidence, turn) + limits.soft_seconds - CLOCK_SECONDS
    return turn.last is run and until >= over and (run.ended is None or run.ended >= over)
