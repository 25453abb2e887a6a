"""What `ferry drain` tells, and its exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ferry_console.moments import age_text, moment_text
from ferry_console.operating.draining import DrainLook, left_sentences
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, EXIT_UNREACHABLE, Outcome

if TYPE_CHECKING:
    from ferry_console.operating.draining import PartitionLook
    from ferry_shared.ledger.pauses import Pause

#: What a shell reports of a program that Ctrl-C has ended.
EXIT_INTERRUPTED = 130


class DrainEnd(StrEnum):
    """How it ended; `WOULD` is a dry run, `EMPTY` found nothing to drain."""

    DRAINED = "drained"
    LATE = "late"
    INTERRUPTED = "interrupted"
    UNREACHABLE = "unreachable"
    WOULD = "would"
    EMPTY = "empty"


_EXIT_CODES = {
    DrainEnd.DRAINED: EXIT_OK,
    DrainEnd.LATE: EXIT_NOTHING_DONE,
    DrainEnd.INTERRUPTED: EXIT_INTERRUPTED,
    DrainEnd.UNREACHABLE: EXIT_UNREACHABLE,
    DrainEnd.WOULD: EXIT_OK,
    DrainEnd.EMPTY: EXIT_NOTHING_DONE,
}


@dataclass
class Drain:
    """One drain: by whom and when, the `targets` (`topic` or `topic:partition`) in order with the pause that holds now,
    and which of those are `ours`; the last look, and for how many seconds it has waited."""

    who: str
    at_ms: int
    group: str
    pauses: dict[str, Pause] = field(default_factory=dict)
    ours: list[str] = field(default_factory=list)
    look: DrainLook = field(default_factory=lambda: DrainLook(()))
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def paused_ms(self) -> dict[str, int]:
        """When each was paused."""
        return {target: pause.when_ms for target, pause in self.pauses.items()}


def report(drain: Drain, end: DrainEnd) -> Outcome:
    """Put together what was done."""
    facts: dict[str, Any] = {
        "command": "drain",
        "dry_run": end is DrainEnd.WOULD,
        "group": drain.group,
        "who": drain.who,
        "at": moment_text(drain.at_ms),
        "result": str(end),
        "seconds": round(drain.seconds, 1),
        "targets": [
            {"target": target, "changed": target in drain.ours, "pause": asdict(pause)}
            for target, pause in drain.pauses.items()
        ],
        "in_flight": drain.look.in_flight,
        "left": [_fact(one) for one in drain.look.left],
    }
    told, warnings = _told(drain, end)
    return Outcome(_EXIT_CODES[end], told, facts, [*warnings, *drain.warnings])


def _fact(one: PartitionLook) -> dict[str, Any]:
    return {
        "topic": one.place.topic,
        "partition": one.place.partition,
        "in_flight": one.in_flight,
        "uncommitted": one.uncommitted,
        "oldest_task_id": one.oldest,
        "oldest_seconds": one.oldest_seconds,
        "silent": one.silent,
        "holds": one.holds,
    }


def _told(drain: Drain, end: DrainEnd) -> tuple[list[str], list[str]]:
    """Sentences, and warnings."""
    named, took = ", ".join(drain.pauses), age_text(drain.seconds)
    still = f"{drain.look.in_flight:,} in flight"
    if end is DrainEnd.EMPTY:
        return [], [
            f"the group {drain.group} has no ledger here, and no consumer of it has told anything: are CONSUMER_GROUP, "
            "CELERY_BROKER_URL and FERRY_KEY_PREFIX the consumer's? A topic can be named"
        ]
    if end is DrainEnd.WOULD:
        return [f"would pause {named}, and wait until nothing is in flight; now there are {still}"], []
    if end is DrainEnd.DRAINED:
        when = f"{moment_text(drain.at_ms)} {drain.who}"
        told = f"{when} drained {named} in {took}: nothing is in flight, all is committed{_go_on(drain)}"
        return [told], []
    why = {
        DrainEnd.LATE: f"not drained within {took}: {still}",
        DrainEnd.INTERRUPTED: f"interrupted after {took}: {still}",
        DrainEnd.UNREACHABLE: f"Redis can't be reached after {took}: {still} before; CELERY_BROKER_URL says where",
    }[end]
    stays = f"still paused: {named}; ferry drain waits again, ferry in-flight list tells more" if drain.pauses else ""
    return [], [why, *left_sentences(drain.look), f"{stays or 'nothing is paused'}{_go_on(drain)}"]


def _go_on(drain: Drain) -> str:
    """What ends the pauses that this drain made; those of others are theirs."""
    return f"; to go on: {' && '.join(f'ferry resume {target}' for target in drain.ours)}" if drain.ours else ""
