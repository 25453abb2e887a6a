"""A group's status as lines for people: totals first, then what deserves attention, then a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.columns import columns
from ferry_console.moments import age_text, moment_text
from ferry_console.status.warnings import warnings
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_console.status.group_status import GroupStatus, PartitionView

#: Up to so many partitions stay in order, so that rows don't move under one's eyes; of more, the busiest come first.
MOST_IN_ORDER = 24
_HEADINGS = (
    "topic", "partition", "log end", "committed", "position", "in flight", "oldest", "backlog", "dead", "paused",
    "consumer", "heard",
)  # fmt: skip
_TO_THE_LEFT = frozenset({"topic", "paused", "consumer", "heard"})


@dataclass(frozen=True, slots=True)
class Page:
    """What to show: `told` are sentences, `rows` a table under its headings (empty: there is none)."""

    told: tuple[str, ...]
    rows: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """All of it."""
        return [*self.told, *self.rows]


def page(status: GroupStatus, old_after_seconds: float) -> Page:
    """The whole status: totals, what deserves attention, then the partitions."""
    told = [totals_line(status), *(f"! {printable(warning)}" for warning in warnings(status, old_after_seconds))]
    if not status.partitions:
        return Page(tuple(told))
    return Page(tuple(told), tuple(table([_HEADINGS, *map(cells, in_order(status.partitions))])))


def totals_line(status: GroupStatus) -> str:
    """The sums, and when they were true."""
    views = status.partitions
    oldest = max((view.oldest_seconds or 0.0 for view in views), default=0.0)
    paused = sum(view.pause is not None for view in views)
    exceptions = [f"{len(status.silent):,} silent"] if status.silent else []
    exceptions += [f"{paused:,} paused"] if paused else []
    shown = f" ({', '.join(exceptions)})" if exceptions else ""
    parts = [
        f"{_counted(len(views), 'partition')}{shown}",
        _counted(status.consumers, "consumer"),
        f"backlog {sum(view.backlog for view in views):,}",
        f"in flight {sum(view.in_flight for view in views):,}",
        f"oldest {age_text(oldest)}",
        f"lag {sum(view.lag for view in views):,}",
        f"dead letters {sum(view.dead_letters for view in views):,}",
        f"restored {sum(view.restored for view in views):,}",
        f"rewound {sum(view.rewound for view in views):,}",
    ]
    return printable(f"group {status.group} at {moment_text(status.at_ms)}: {', '.join(parts)}")


def in_order(views: Sequence[PartitionView]) -> list[PartitionView]:
    """Few by name; of many first those in trouble, then the busiest."""
    by_name = sorted(views, key=lambda view: view.place)
    if len(views) <= MOST_IN_ORDER:
        return by_name
    return sorted(by_name, key=lambda view: (not _is_in_trouble(view), -view.backlog))


def _is_in_trouble(view: PartitionView) -> bool:
    return view.silent or view.pause is not None or view.ledger is not Condition.SOUND


def cells(view: PartitionView) -> tuple[str, ...]:
    """One partition's row; a dash stands for what isn't known or isn't there."""
    return (
        view.place.topic,
        str(view.place.partition),
        _offset(view.log_end),
        _offset(view.committed),
        _offset(view.position),
        f"{view.in_flight:,}",
        "-" if view.oldest_seconds is None else age_text(view.oldest_seconds),
        f"{'' if view.log_end is not None and not view.silent else '>='}{view.backlog:,}",
        f"{view.dead_letters:,}",
        view.pause.reason if view.pause else "-",
        view.consumer or "-",
        _heard(view),
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The partitions' rows as columns."""
    return columns(rows, _TO_THE_LEFT)


def _heard(view: PartitionView) -> str:
    if view.word_age_seconds is None:
        return "never"
    return f"{age_text(view.word_age_seconds)} ago{', silent' if view.silent else ''}"


def _offset(offset: int | None) -> str:
    return "-" if offset is None else f"{offset:,}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
