"""What `ferry dead-letters replay` tells, and its exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ferry_console.dead_letters.replaying import Result
from ferry_console.dead_letters.text import absent_line
from ferry_console.moments import moment_text
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, EXIT_UNREACHABLE, Outcome

if TYPE_CHECKING:
    from ferry_console.dead_letters.replay_marks import Mark
    from ferry_console.dead_letters.replaying import Tally

#: People read the first few; machines get more.
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class CutShort:
    """Why it ended before everything was replayed."""

    why: str
    is_server_away: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a replay went: None cut it short, or what did; `absent` are dead-letter topics that aren't there."""

    cut_short: CutShort | None = None
    absent: tuple[str, ...] = ()


def report(tally: Tally, mark: Mark, reach: Reach, *, dry_run: bool) -> Outcome:
    """Put together what was done."""
    counts, cut_short = tally.counts, reach.cut_short
    facts = {
        "command": "dead-letters replay",
        "dry_run": dry_run,
        "who": mark.who,
        "at": moment_text(mark.when_ms),
        **{result.name.lower(): counts[result] for result in Result},
        "problems": [asdict(problem) for problem in tally.problems],
        "cut_short": cut_short.why if cut_short else None,
        "absent_topics": list(reach.absent),
    }
    sentence = _sentence(tally, mark, cut_short, dry_run=dry_run)
    return Outcome(_exit_code(tally, cut_short), [sentence], facts, _warnings(tally, reach))


def _exit_code(tally: Tally, cut_short: CutShort | None) -> int:
    if cut_short is not None and cut_short.is_server_away:
        return EXIT_UNREACHABLE
    done = tally.counts[Result.REPLAYED] + tally.counts[Result.BEFORE]
    return EXIT_OK if done and done == tally.counts.total() and cut_short is None else EXIT_NOTHING_DONE


def _sentence(tally: Tally, mark: Mark, cut_short: CutShort | None, *, dry_run: bool) -> str:
    replayed, before = letters(tally.counts[Result.REPLAYED]), tally.counts[Result.BEFORE]
    also = f"; {before:,} more had been replayed before" if before else ""
    if not tally.counts.total() and cut_short is None:
        return "there are no dead letters that are asked for"
    if dry_run:
        return f"would replay {replayed}{also}"
    return f"{moment_text(mark.when_ms)} {mark.who} replayed {replayed}{also}"


def letters(count: int) -> str:
    """So many, in words."""
    return f"{count:,} dead letter{'' if count == 1 else 's'}"


def _warnings(tally: Tally, reach: Reach) -> list[str]:
    found = [f"{problem.id} {problem.why}" for problem in tally.problems[:SHOWN_PROBLEMS]]
    counted = sum(tally.counts[result] for result in (Result.UNCLEAR, Result.PURGED, Result.UNFIT, Result.REFUSED))
    if counted > len(found):
        found.append(f"and {counted - len(found):,} more that were not replayed: --json lists them")
    if reach.absent:
        found.append(absent_line(reach.absent))
    if reach.cut_short is not None:
        found.append(f"ended early: {reach.cut_short.why}")
    return found
