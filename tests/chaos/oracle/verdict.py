"""The verdict on a run: what must hold, each as a sentence if it doesn't. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.injection import ENOUGH_IN_FLIGHT
from tests.chaos.kinds import KILLED_PROCESSES, MOST_OF_A_KIND
from tests.chaos.oracle.beats import wrong_ticks
from tests.chaos.oracle.blind_moments import completed
from tests.chaos.oracle.counters import CountRow, count_rows, wrong_counts
from tests.chaos.oracle.endings import Account, accounts
from tests.chaos.oracle.moments import Moments
from tests.chaos.oracle.recovery import slow_recoveries
from tests.chaos.oracle.remains import leftovers
from tests.chaos.oracle.repeats import Repeats, find_repeats
from tests.chaos.oracle.rewinds import unheeded_rewinds
from tests.chaos.oracle.sending import wrong_load
from tests.chaos.oracle.sentences import some
from tests.chaos.oracle.splits import wrong_batches
from tests.chaos.oracle.stopping import fenced_exits, wrong_exits
from tests.chaos.oracle.watching import holes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.evidence import Evidence
    from tests.chaos.injection import FaultRecord
    from tests.chaos.limits import Limits
    from tests.chaos.outcome import Run
    from tests.chaos.services import UnexpectedExit


@dataclass(frozen=True, slots=True)
class Demands:
    """What a run must have gone through to count; `messages` is how many Kafka must have acknowledged."""

    faults: int
    kinds: int
    with_enough_in_flight: int
    kills_of_each: int
    messages: int = 0


#: A run of 10 minutes, and one of 2.
FULL = Demands(faults=40, kinds=15, with_enough_in_flight=30, kills_of_each=3, messages=300_000)
SHORT = Demands(faults=10, kinds=10, with_enough_in_flight=7, kills_of_each=0)


@dataclass(frozen=True, slots=True)
class FaultLine:
    """A fault with what is known of it only afterwards."""

    fault: FaultRecord
    in_flight: int
    recovery_seconds: float | None


@dataclass(frozen=True)
class Verdict:
    """The run has passed if there are no `problems`.

    `inferred` copies were queued when Valkey was being killed; only their execution tells of them. `fenced` exits are
    those that a Kafka that had been away explains. `counts` compares Ferry's own counts with what MONITOR saw.
    """

    problems: tuple[str, ...]
    accounts: tuple[Account, ...]
    faults: tuple[FaultLine, ...]
    repeats: Repeats
    inferred: int
    fenced: tuple[UnexpectedExit, ...]
    counts: tuple[CountRow, ...]

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def judge(evidence: Evidence, run: Run, limits: Limits, demands: Demands) -> Verdict:
    """Look at everything once."""
    whole = completed(evidence)
    evidence = whole.evidence
    moments = Moments(evidence)
    lines = tuple(
        FaultLine(fault, min(fault.in_flight, moments.in_flight(fault.at)), moments.recovery_seconds(fault.healed))
        for fault in run.faults
    )
    account = tuple(accounts(evidence))
    repeats = find_repeats(evidence, limits)
    counts = count_rows(evidence, run.counts)
    problems = [
        *wrong_load(evidence, run, demands.messages),
        *wrong_batches(evidence, limits),
        *_lost(evidence, account),
        *_missing_faults(lines, demands),
        *_unexplained(repeats),
        *holes(whole, run),
        *wrong_exits(evidence, run),
        *leftovers(run),
        *slow_recoveries(run, moments),
        *unheeded_rewinds(evidence),
        *wrong_ticks(run, evidence.history),
        *wrong_counts(evidence, run.counts, counts),
    ]
    fenced = tuple(fenced_exits(evidence, run.unexpected_exits))
    return Verdict(tuple(problems), account, lines, repeats, len(whole.inferred), fenced, counts)


def _lost(evidence: Evidence, account: Sequence[Account]) -> Iterator[str]:
    for one in account:
        if one.lost:
            yield f"partition {one.partition}: {len(one.lost)} lost: {some(one.lost)}"
    ended = evidence.executions_of.keys() | evidence.dead_letters_of.keys()
    if unknown := sorted(ended - evidence.log.keys()):
        yield f"{len(unknown)} ids were executed or dead that Kafka never had: {some(unknown)}"


def _missing_faults(lines: Sequence[FaultLine], demands: Demands) -> Iterator[str]:
    for line in lines:
        if not line.fault.proven:
            yield f"fault {line.fault.number} ({line.fault.kind}) is not proven: {line.fault.proof}"
    proven = [line for line in lines if line.fault.proven]
    kinds = Counter(line.fault.kind for line in proven)
    enough = sum(line.in_flight >= ENOUGH_IN_FLIGHT for line in proven)
    kills = Counter(line.fault.killed for line in proven)
    for what, is_so, least in (
        ("faults", len(proven), demands.faults),
        ("kinds of faults", len(kinds), demands.kinds),
        (f"faults with {ENOUGH_IN_FLIGHT} or more in flight", enough, demands.with_enough_in_flight),
        *((f"times that {name} was killed", kills[name], demands.kills_of_each) for name in KILLED_PROCESSES),
    ):
        if is_so < least:
            yield f"{is_so} {what}, expected {least} or more: the run doesn't count"
    for kind, count in kinds.items():
        if count > MOST_OF_A_KIND:
            yield f"{count} faults of the kind {kind!r}, expected {MOST_OF_A_KIND} or fewer: the run doesn't count"


def _unexplained(repeats: Repeats) -> Iterator[str]:
    for what, found in repeats.by_name.items():
        unexplained = [repeat for repeat in found if repeat.explanation is None]
        for kind, count in Counter(repeat.what for repeat in unexplained).items():
            ids = [repeat.task_id for repeat in unexplained if repeat.what == kind]
            yield f"{count} {what} ({kind}) without an explanation: {some(ids)}"
