"""A message's way as steps: Kafka, queued, running, done; which it has reached, and when, as far as that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ferry_console.dead_letters.letters import letter_of
from ferry_console.trace.findings import Whereabouts

if TYPE_CHECKING:
    from ferry_console.trace.findings import Findings
    from ferry_shared.record import Record

#: Nothing more becomes of it, by what is known.
FINISHED = frozenset({Whereabouts.DONE, Whereabouts.ENDED, Whereabouts.DEAD, Whereabouts.DELETED, Whereabouts.NO_BATCH})
#: On its way: it may move on at any moment.
MOVING = frozenset(
    {
        Whereabouts.IN_KAFKA,
        Whereabouts.QUEUED,
        Whereabouts.TAKEN,
        Whereabouts.WAITING,
        Whereabouts.UNSEEN,
        Whereabouts.RUNNING,
        Whereabouts.FAILED,
    }
)
_REACHED = {
    Whereabouts.IN_KAFKA: 0,
    Whereabouts.NO_LEDGER: 0,
    Whereabouts.DELAYED: 0,
    Whereabouts.DELETED: 0,
    Whereabouts.QUEUED: 1,
    Whereabouts.TAKEN: 1,
    Whereabouts.WAITING: 1,
    Whereabouts.UNSEEN: 1,
    Whereabouts.RETRYING: 1,
    Whereabouts.NO_BATCH: 1,
    Whereabouts.RUNNING: 2,
    Whereabouts.LEFT: 2,
    Whereabouts.FAILED: 3,
    Whereabouts.DONE: 3,
    Whereabouts.ENDED: 3,
    Whereabouts.DEAD: 3,
}


class Reached(StrEnum):
    """`PASSED`: it is behind it; `NOW`: it is there; `AHEAD`: not yet; `LEFT_OUT`: its way leads past."""

    PASSED = "passed"
    NOW = "now"
    AHEAD = "ahead"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Moments:
    """When a message was where, in milliseconds since 1970: `sent_ms` by its sender's clock, the others by Redis'.

    None is what isn't known: the ledger forgets what has ended. `ended_ms` is when that was seen first.
    """

    sent_ms: int | None = None
    queued_ms: int | None = None
    claimed_ms: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way; `at_ms` is when it was reached."""

    name: str
    reached: Reached
    at_ms: int | None


def remembered(before: Moments, findings: Findings) -> Moments:
    """What is known now, and of what is no longer told what was known before."""
    now, entry = before, findings.entry
    if findings.kafka is not None and findings.kafka.record is not None:
        now = replace(now, sent_ms=findings.kafka.record.timestamp_ms)
    if entry is not None and entry.state is not None:
        now = replace(
            now,
            queued_ms=entry.dispatched_ms or now.queued_ms,
            claimed_ms=entry.state.claimed_ms or now.claimed_ms,
            ended_ms=None,
        )
    elif findings.whereabouts in FINISHED:
        now = replace(now, ended_ms=_ended_ms(now, findings))
    return now


def _ended_ms(now: Moments, findings: Findings) -> int | None:
    letter = newest_letter(findings)
    if letter is not None:
        return letter.timestamp_ms
    # Of what had ended before the first look nobody knows when.
    was_seen_before = now.queued_ms is not None and findings.entry is not None
    return now.ended_ms or (findings.entry.now_ms if was_seen_before and findings.entry else None)


def newest_letter(findings: Findings) -> Record | None:
    """The dead letter that was written last."""
    found = findings.letters.found if findings.letters else ()
    return max(found, key=lambda record: (record.timestamp_ms or 0, record.offset), default=None)


def way(findings: Findings, moments: Moments) -> list[Step]:
    """The four steps."""
    where = findings.whereabouts
    reached = _REACHED.get(where, -1)
    at = (moments.sent_ms, moments.queued_ms, moments.claimed_ms, moments.ended_ms)
    names = ("Kafka", "queued", "running", _end(where))
    return [
        Step(name, _judged(number, reached, findings), moment if number <= reached else None)
        for number, (name, moment) in enumerate(zip(names, at, strict=True))
    ]


def _end(where: Whereabouts) -> str:
    if where in {Whereabouts.FAILED, Whereabouts.DEAD}:
        return "dead letter"
    return "done or dead letter" if where is Whereabouts.ENDED else "done"


def _judged(number: int, reached: int, findings: Findings) -> Reached:
    if number > reached:
        return Reached.AHEAD
    letter = newest_letter(findings) if findings.whereabouts is Whereabouts.DEAD else None
    if letter is not None and number in {1, 2} and letter_of(letter).deliveries == 0:
        return Reached.LEFT_OUT
    return Reached.NOW if number == reached and findings.whereabouts not in FINISHED else Reached.PASSED
