"""What `ferry forget` tells, and its exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ferry_console.moments import moment_text
from ferry_console.operating.group_keys import Kind
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, EXIT_UNREACHABLE, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.operating.forgetting import Obstacle
    from ferry_console.operating.group_keys import Found

#: People read the first few; machines get all.
SHOWN_KEYS = 40
_COUNTED = {
    Kind.LEDGER: "in flight",
    Kind.STATUS: "partitions",
    Kind.PAUSES: "targets",
    Kind.REPLAYED: "marks",
    Kind.LAST_RUNS: "entries",
    Kind.OTHER: "fields",
}


@dataclass
class Forgetting:
    """Who forgets which group, and when; what was found, what stands in the way, and how it ended.

    `changed` are ledgers that somebody has taken up meanwhile, and which therefore stay.
    """

    group: str
    who: str
    at_ms: int
    found: Sequence[Found] = ()
    obstacles: Sequence[Obstacle] = ()
    force: bool = False
    dry_run: bool = False
    is_kafka_away: bool = False
    changed: list[str] = field(default_factory=list)
    is_removed: bool = False

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return sum(len(one.names) for one in self.found)

    @property
    def is_refused(self) -> bool:
        """Something stands in the way that isn't overridden."""
        return any(not self.force or obstacle.loses is None for obstacle in self.obstacles)


def report(forgetting: Forgetting) -> Outcome:
    """Put together what was done, or would be."""
    facts = {
        "command": "forget",
        "dry_run": forgetting.dry_run,
        "group": forgetting.group,
        "who": forgetting.who,
        "at": moment_text(forgetting.at_ms),
        "removed": forgetting.is_removed,
        "keys": [
            {"kind": str(one.kind), "key": name, "entries": one.entries}
            for one in forgetting.found
            for name in one.names
        ],
        "obstacles": [{"told": one.told, "loses": one.loses} for one in forgetting.obstacles],
        "changed": forgetting.changed,
    }
    return Outcome(_exit_code(forgetting), [*_sentences(forgetting)], facts, [*_warnings(forgetting)])


def question(forgetting: Forgetting) -> str:
    """What is asked before."""
    return f"forget the group {forgetting.group}: {forgetting.keys:,} keys in Redis, for good?"


def lost_sentences(forgetting: Forgetting) -> list[str]:
    """What is lost by force."""
    return [f"{one.told}; lost: {one.loses}" for one in forgetting.obstacles if one.loses is not None]


def _exit_code(forgetting: Forgetting) -> int:
    if forgetting.is_refused and forgetting.is_kafka_away:
        return EXIT_UNREACHABLE
    if forgetting.is_refused or forgetting.changed or not forgetting.found:
        return EXIT_NOTHING_DONE
    return EXIT_OK


def _sentences(forgetting: Forgetting) -> Iterator[str]:
    if not forgetting.found:
        yield f"Redis holds nothing of the group {forgetting.group}"
        return
    if forgetting.dry_run:
        yield from _listed(forgetting.found)
    told = f"the group {forgetting.group}: {forgetting.keys:,} keys in Redis"
    when = f"{moment_text(forgetting.at_ms)} {forgetting.who}"
    if forgetting.is_removed:
        yield f"{when} forgot {told}; its commits in Kafka are left"
    elif forgetting.changed:
        yield f"{when} forgot a part of the group {forgetting.group}"
    elif not forgetting.is_refused:
        yield f"would forget {told}"


def _listed(found: Sequence[Found]) -> Iterator[str]:
    rows = [f"{name}  {one.kind}, {_COUNTED[one.kind]}: {one.entries:,}" for one in found for name in one.names]
    yield from rows[:SHOWN_KEYS]
    if len(rows) > SHOWN_KEYS:
        yield f"and {len(rows) - SHOWN_KEYS:,} more keys: --json lists them"


def _warnings(forgetting: Forgetting) -> Iterator[str]:
    if not forgetting.found:
        return
    if forgetting.is_refused:
        yield f"the group {forgetting.group} is not forgotten:" if not forgetting.dry_run else "it would be refused:"
        yield from (one.told for one in forgetting.obstacles)
        if not forgetting.force and all(one.loses is not None for one in forgetting.obstacles):
            yield "--force forgets it all the same, and says what is lost; --dry-run --force says it before"
    else:
        yield from lost_sentences(forgetting)
    for place in forgetting.changed:
        yield f"somebody has taken up {place} meanwhile: its ledger is left"
