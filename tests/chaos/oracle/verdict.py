"""The verdict on a run: what must hold, each as a sentence if it doesn't. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Part
from tests.chaos.injection import ENOUGH_IN_FLIGHT
from tests.chaos.kinds import KILLED_PROCESSES, MOST_OF_A_KIND
from tests.chaos.oracle.blind_moments import completed
from tests.chaos.oracle.endings import Account, accounts, repeated_dead_letters, wrong_endings
from tests.chaos.oracle.executions import repeated_executions
from tests.chaos.oracle.moments import Moments
from tests.chaos.oracle.queueings import repeated_queueings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.drain import Drained
    from tests.chaos.evidence import Evidence
    from tests.chaos.injection import FaultRecord
    from tests.chaos.limits import Limits
    from tests.chaos.oracle.explanation import Repeat
    from tests.chaos.services import UnexpectedExit

#: Ids that a sentence names; the record has them all.
_NAMED = 5
#: A ledger's head a partition; status, schedule and pauses of the group; what kombu knows of its queues; beat's queue.
KEYS_THAT_MAY_REMAIN = re.compile(
    r"ferry:\{[^{}]+\}:head|ferry:(status|beat|pause):.*|_kombu\..*|unacked_mutex|ferry\.status"
)
_FENCED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Demands:
    """What a run must have gone through to count."""

    faults: int
    kinds: int
    with_enough_in_flight: int
    kills_of_each: int


#: A run of 10 minutes, and one of 2.
FULL = Demands(faults=40, kinds=15, with_enough_in_flight=30, kills_of_each=3)
SHORT = Demands(faults=10, kinds=10, with_enough_in_flight=7, kills_of_each=0)


@dataclass(frozen=True, slots=True)
class Run:
    """What the harness knows besides the evidence."""

    sent: int
    acknowledged: int
    refused: Sequence[str]
    faults: Sequence[FaultRecord]
    unexpected_exits: Sequence[UnexpectedExit]
    drained: Drained
    keys_left: Sequence[str]
    servers_started: int
    servers_observed: int
    harness_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class FaultLine:
    """A fault with what is known of it only afterwards."""

    fault: FaultRecord
    in_flight: int
    recovery_seconds: float | None


@dataclass(frozen=True)
class Verdict:
    """The run has passed if there are no `problems`.

    `inferred` copies were queued when Valkey was being killed; only their execution tells of them.
    """

    problems: tuple[str, ...]
    accounts: tuple[Account, ...]
    faults: tuple[FaultLine, ...]
    queueings: tuple[Repeat, ...]
    executions: tuple[Repeat, ...]
    dead_letters: tuple[Repeat, ...]
    endings: tuple[Repeat, ...]
    inferred: int

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
    queueings, executions = tuple(repeated_queueings(evidence)), tuple(repeated_executions(evidence, limits))
    letters, endings = tuple(repeated_dead_letters(evidence)), tuple(wrong_endings(evidence))
    problems = [
        *_wrong_counts(evidence, run, account),
        *_missing_faults(lines, demands),
        *_unexplained("queued again", queueings),
        *_unexplained("executed again", executions),
        *_unexplained("dead again", letters),
        *_unexplained("ended wrongly", endings),
        *_holes(whole.unseen, run),
        *_leftovers(evidence, run),
    ]
    return Verdict(tuple(problems), account, lines, queueings, executions, letters, endings, len(whole.inferred))


def _wrong_counts(evidence: Evidence, run: Run, account: Sequence[Account]) -> Iterator[str]:
    for one in account:
        if one.lost:
            yield f"partition {one.partition}: {len(one.lost)} lost: {_some(one.lost)}"
    if len(evidence.log) != run.acknowledged or run.acknowledged != run.sent or run.refused:
        yield (
            f"Kafka holds {len(evidence.log)} messages; {run.sent} were sent, {run.acknowledged} acknowledged, "
            f"{len(run.refused)} refused: the load itself failed"
        )
    ended = evidence.executions_of.keys() | evidence.dead_letters_of.keys()
    if unknown := sorted(ended - evidence.log.keys()):
        yield f"{len(unknown)} ids were executed or dead that Kafka never had: {_some(unknown)}"


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


def _unexplained(what: str, repeats: Sequence[Repeat]) -> Iterator[str]:
    unexplained = [repeat for repeat in repeats if repeat.explanation is None]
    for kind, count in Counter(repeat.what for repeat in unexplained).items():
        ids = [repeat.task_id for repeat in unexplained if repeat.what == kind]
        yield f"{count} {what} ({kind}) without an explanation: {_some(ids)}"


def _holes(unseen: Sequence[str], run: Run) -> Iterator[str]:
    if unseen:
        yield f"{len(unseen)} copies were executed that the observer never saw queued: {_some(unseen)}"
    if run.servers_observed != run.servers_started:
        yield f"Valkey was started {run.servers_started} times and observed {run.servers_observed} times"


def _leftovers(evidence: Evidence, run: Run) -> Iterator[str]:
    for ended in run.unexpected_exits:
        if _fenced_by_a_restarted_kafka(evidence, ended):
            continue
        yield f"{ended.service} (process {ended.pid}) ended by itself with exit code {ended.code}"
    if run.drained.rest:
        yield f"it did not drain: {run.drained.rest}"
    if strange := [key for key in run.keys_left if not KEYS_THAT_MAY_REMAIN.fullmatch(key)]:
        yield f"Redis still holds {len(strange)} keys that should be gone: {_some(strange)}"


def _fenced_by_a_restarted_kafka(evidence: Evidence, ended: UnexpectedExit) -> bool:
    """librdkafka can join anew while a commit under its old member id is on the way: Kafka fences that, for good."""
    fenced = ended.code == 2 and "CONSUMER_INSTANCE_ID: another consumer" in ended.log
    since = ended.at - _FENCED_SECONDS
    return fenced and evidence.history.touching(Away, {Part.KAFKA}, since, ended.at) is not None


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (" ..." if len(ids) > _NAMED else "")
