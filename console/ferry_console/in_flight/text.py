"""What is in flight as lines for people: how many, what to know about it, then a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.columns import columns, shortened
from ferry_console.in_flight.stages import Stage
from ferry_console.moments import age_text, moment_text
from ferry_console.trace.text import attempt_of
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from ferry_console.in_flight.flights import Flight, InFlight

_HEADINGS = ("task", "state", "age", "attempt", "starts", "detail")
_TO_THE_LEFT = frozenset({"task", "state", "detail"})
#: An error is told by its beginning; `ferry trace` has it whole.
SHOWN_CHARACTERS = 120


def heading(answer: InFlight) -> str:
    """How many there are, and how many of them follow."""
    shown = len(answer.found)
    if answer.more:
        listed = f"the {shown:,} oldest of those asked for (more: --limit)"
    else:
        listed = f"{shown:,} listed" if shown else "none listed"
    at = moment_text(answer.at_ms)
    return printable(f"group {answer.group} at {at}: {answer.total:,} messages in flight, {listed}")


def warning_lines(answer: InFlight) -> list[str]:
    """What deserves attention."""
    return [f"! {printable(warning)}" for warning in answer.warnings]


def table(answer: InFlight) -> list[str]:
    """A row a task under headings; nothing where nothing was found."""
    return columns([_HEADINGS, *map(_cells, answer.found)], _TO_THE_LEFT) if answer.found else []


def _cells(flight: Flight) -> tuple[str, ...]:
    attempt, age = attempt_of(flight.state), flight.age_seconds
    return (
        flight.task_id.text,
        str(flight.stage),
        "-" if age is None else age_text(age),
        "-" if attempt is None else str(attempt),
        str(flight.state.claims),
        "; ".join(part for part in (_size(flight), _detail(flight)) if part),
    )


def _size(flight: Flight) -> str:
    """Of a batch, how many messages it has and how far it is."""
    if flight.messages == 1:
        return ""
    progress = flight.state.progress
    return f"{flight.messages:,} messages{'' if progress is None else f', done up to offset {progress}'}"


def _detail(flight: Flight) -> str:
    state, now_ms = flight.state, flight.now_ms
    match flight.stage:
        case Stage.RUNNING:
            since = "" if state.claimed_ms is None else f"for {age_text(max(0, now_ms - state.claimed_ms) / 1000)}, "
            return f"{since}its claim ends in {age_text((state.lease_ms - now_ms) / 1000)}"
        case Stage.LEFT:
            return f"its claim ended {age_text((now_ms - state.lease_ms) / 1000)} ago"
        case Stage.RETRYING | Stage.DELAYED:
            left_ms = (state.due_ms or 0) - now_ms
            return f"due in {age_text(left_ms / 1000)}" if left_ms > 0 else f"due {age_text(-left_ms / 1000)} ago"
        case Stage.FAILED:
            return shortened(state.error or "", SHOWN_CHARACTERS)
        case Stage.QUEUED:
            return f"queued {state.deliveries} times" if state.deliveries > 1 else ""
