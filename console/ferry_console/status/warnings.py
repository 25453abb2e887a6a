"""What deserves attention in a group's status, as sentences that say what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.moments import age_text, moment_text
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.untracked import untracked_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.status.group_status import GroupStatus, PartitionView, PauseView

#: More of a kind are counted, not listed.
MOST_NAMED = 3


def warnings(status: GroupStatus, old_after_seconds: float) -> list[str]:
    """All warnings, the worst first; `old_after_seconds` is the age from which a message in flight is told of."""
    found = [
        *_silent(status),
        *_without_log_end(status),
        *_without_ledger(status),
        *untracked_sentences({view.place: view.untracked for view in status.partitions}, status.at_ms),
        *_unheard(status),
        *_paused(status),
        *_old(status, old_after_seconds),
    ]
    if not status.partitions:
        found = [
            f"group {status.group} has no ledger, and no consumer has said anything: nobody consumes, or Redis has lost"
            " its data; start ferry-consumer run, it goes on from what Kafka has as committed"
        ]
    found += [f"{target} is {_told(pause)}" for target, pause in status.other_pauses]
    if not status.complete:
        found.append("Redis has too many keys to search them all: there may be more partitions")
    return found


def _silent(status: GroupStatus) -> Iterator[str]:
    silent = status.silent
    if not silent:
        return
    last = min(
        (view for view in silent if view.word_age_seconds is not None),
        key=lambda view: view.word_age_seconds or 0.0,
        default=None,
    )
    heard = "nothing has been heard for ten minutes or more"
    if last is not None and last.word_age_seconds is not None:
        heard = f"the last word came {age_text(last.word_age_seconds)} ago from {last.consumer}"
    who = "nobody consumes" if len(silent) == len(status.partitions) else f"{_named(silent)} silent"
    yield f"{who}: {heard}; log ends and backlogs there are at least what is shown; is ferry-consumer running?"


def _without_log_end(status: GroupStatus) -> Iterator[str]:
    views = [view for view in status.partitions if view.log_end is None and not view.silent]
    if views:
        yield f"{_named(views)} at work, but Kafka doesn't tell the consumer where the log ends: is Kafka away?"


def _without_ledger(status: GroupStatus) -> Iterator[str]:
    absent = [view for view in status.partitions if view.ledger is Condition.ABSENT]
    if absent:
        yield (
            f"{_named(absent)} without a ledger: never taken up, or lost by Redis; its next consumer starts at what"
            " Kafka has as committed"
        )
    damaged = [view for view in status.partitions if view.ledger in {Condition.DAMAGED, Condition.WRONG_TYPE}]
    if damaged:
        yield f"{_named(damaged)} with a damaged ledger: its consumer makes a new one, from what Kafka has as committed"


def _unheard(status: GroupStatus) -> Iterator[str]:
    for view in status.queues:
        if view.workers == 0 and view.in_flight:
            yield (
                f"no worker takes from the queue {view.queue}, and {view.in_flight:,} messages of"
                f" {', '.join(view.topics[:MOST_NAMED])} are in flight: start one with -Q {view.queue}, or with"
                " FERRY_ROUTES and without -Q; that of your own app needs ferry_worker.track(app)"
            )


def _paused(status: GroupStatus) -> Iterator[str]:
    by_pause: dict[str, list[PartitionView]] = {}
    for view in status.partitions:
        if view.pause is not None:
            by_pause.setdefault(_told(view.pause), []).append(view)
    for told, views in by_pause.items():
        yield f"{_named(views)} {told}"


def _told(pause: PauseView) -> str:
    who = f" by {pause.who}" if pause.who else ""
    when = f" since {moment_text(pause.when_ms)}" if pause.when_ms else ""
    why = f": {pause.why}" if pause.why else ""
    return f"paused ({pause.reason}){who}{when}{why}{_way_out(pause.reason)}"


def _way_out(reason: str) -> str:
    return {
        "operator": "; ferry resume lets it go on",
        "dead-letter limit": "; when the cause is mended, ferry resume lets it go on",
        "limit": "; it goes on by itself when workers have caught up",
        "memory": "; it goes on by itself when Redis has room again",
    }.get(reason, "")


def _old(status: GroupStatus, old_after_seconds: float) -> Iterator[str]:
    old = [view for view in status.partitions if (view.oldest_seconds or 0.0) > old_after_seconds]
    for view in sorted(old, key=lambda view: view.oldest_seconds or 0.0, reverse=True)[:MOST_NAMED]:
        told = f"{view.oldest or view.place} is in flight for {age_text(view.oldest_seconds or 0.0)}"
        ask = f"ask ferry trace {view.oldest or 'ID'}"
        yield f"{told} and holds the committed offset back ({view.committed} now); {ask}"
    if len(old) > MOST_NAMED:
        yield f"and {len(old) - MOST_NAMED:,} more partitions hold a message that old"


def _named(views: Sequence[PartitionView]) -> str:
    names = ", ".join(str(view.place) for view in views[:MOST_NAMED])
    more = len(views) - MOST_NAMED
    return f"{names} and {more:,} more are" if more > 0 else f"{names} {'is' if len(views) == 1 else 'are'}"
