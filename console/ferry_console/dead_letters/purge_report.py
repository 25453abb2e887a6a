"""What `ferry dead-letters purge` tells, and its exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ferry_console.dead_letters.replay_report import letters
from ferry_console.moments import moment_text
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, EXIT_UNREACHABLE, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_console.dead_letters.purging import Prefix
    from ferry_console.dead_letters.replay_marks import Mark
    from ferry_console.dead_letters.replay_report import CutShort


@dataclass
class Purge:
    """What goes, or has gone, by topic and partition; `refused` says why a whole topic is left alone, `failed` why
    Kafka didn't delete of a partition. `absent` topics aren't there."""

    prefixes: dict[str, dict[int, Prefix]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[tuple[str, int], str] = field(default_factory=dict)
    cut_short: CutShort | None = None

    @property
    def removed(self) -> int:
        """Letters that go."""
        return sum(prefix.letters for _, prefix in self.partitions())

    @property
    def stay(self) -> int:
        """Letters that were looked at, and stay."""
        return sum(prefix.stay for _, prefix in self.partitions())

    @property
    def is_away(self) -> bool:
        """A server can't be reached any more."""
        return self.cut_short is not None and self.cut_short.is_server_away

    def partitions(self) -> Iterator[tuple[tuple[str, int], Prefix]]:
        """Each partition, in order."""
        for topic, prefixes in self.prefixes.items():
            for number in sorted(prefixes):
                yield (topic, number), prefixes[number]


def report(purge: Purge, mark: Mark, *, dry_run: bool) -> Outcome:
    """Put together what was done."""
    when = moment_text(mark.when_ms)
    cut_short = purge.cut_short
    facts = {
        "command": "dead-letters purge",
        "dry_run": dry_run,
        "who": mark.who,
        "at": when,
        "removed": purge.removed,
        "stay": purge.stay,
        "partitions": [
            {
                "topic": place[0],
                "partition": place[1],
                "removed": prefix.letters,
                "until": prefix.until,
                "stay": prefix.stay,
                "asked_for": prefix.asked_for,
                "first": asdict(prefix.first) if prefix.first else None,
                "failed": purge.failed.get(place),
            }
            for place, prefix in purge.partitions()
        ],
        "absent_topics": purge.absent,
        "refused": dict(purge.refused),
        "cut_short": cut_short.why if cut_short else None,
    }
    told = plan_sentence(purge) if dry_run else f"{when} {mark.who} removed {letters(purge.removed)}{_staying(purge)}"
    return Outcome(_exit_code(purge), [told], facts, [*_warnings(purge)])


def plan_sentence(purge: Purge) -> str:
    """What would be done."""
    if not purge.removed and not purge.stay:
        of = f" of {', '.join(purge.prefixes)}" if purge.prefixes else ""
        return f"there are no dead letters{of}"
    return f"would remove {letters(purge.removed)} of {', '.join(purge.prefixes)} for good{_staying(purge)}"


def _staying(purge: Purge) -> str:
    return f"; {purge.stay:,} stay" if purge.stay else ""


def _exit_code(purge: Purge) -> int:
    if purge.cut_short is not None:
        return EXIT_UNREACHABLE if purge.cut_short.is_server_away else EXIT_NOTHING_DONE
    is_short = purge.refused or purge.failed or any(prefix.asked_for for _, prefix in purge.partitions())
    return EXIT_NOTHING_DONE if is_short or not purge.prefixes else EXIT_OK


def _warnings(purge: Purge) -> Iterator[str]:
    if purge.absent:
        yield f"there is no topic {', '.join(purge.absent)}: nothing has failed there yet, or it is misspelt"
    for topic, why in purge.refused.items():
        yield f"{topic} is left alone: {why}"
    for (topic, number), why in purge.failed.items():
        yield f"{topic}-{number}: Kafka didn't delete: {why}"
    for (topic, number), prefix in purge.partitions():
        if prefix.first is not None and prefix.asked_for:
            yield (
                f"{topic}-{number}: {prefix.asked_for:,} that were to go stay, for Kafka deletes only the beginning of "
                f"a partition: the first that stays, {prefix.first.id}, {prefix.first.why}"
            )
    if purge.cut_short is not None:
        yield f"ended early: {purge.cut_short.why}"
