"""Ferry's own counts, compared with what MONITOR saw: no second queueing may be missing from them. Pure.

Each has a count of its own. `retried` and `redelivered`: a consumer's line for each id, one line for each queueing, and
the consumers that lived until the end show as many in `/metrics` as their logs have lines. A batch that is divided has
one line, with the number of its messages. `rewound`: a consumer's line when it takes a partition up says from where on
how many offsets come again; it must cover each second dispatch.
`restored`: the ledger counts a copy that the transport handed back when it is claimed, so when it runs, or, being a
batch, is split; a batch counts once.

What Redis forgets, the consumer remembers that holds the partition; `ferry status` may miss what it counted before the
last time that Redis forgot.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Effect, Forgot, Held, Killed, Part
from tests.chaos.evidence import place_of
from tests.chaos.monitor_lines import Cause, after_another
from tests.chaos.oracle.sentences import some
from tests.chaos.tags import Tag, is_batch
from tests.support.queued_ids import all_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tests.chaos.evidence import Evidence
    from tests.chaos.ferry_counts import FerryCounts, Takeover
    from tests.chaos.monitor_lines import Push

#: A consumer's line comes with its script; a busy machine takes its time. Inferred copies have about the right time.
EARLIER_SECONDS, LATER_SECONDS = 1.0, 10.0
#: From the ledger's reply to a claim to the task's own first line, on a busy machine.
CLAIMING_SECONDS = 2.0
_LOG_TIME_SECONDS = 0.01
#: How long ago Kafka may have kept an acquisition from being signed, or the network its reply.
_SIGNING_SECONDS = 30.0
_COUNTERS = {"retried": {Cause.RETRY}, "redelivered": {Cause.REDELIVERY, Cause.DIVISION}}


@dataclass(frozen=True, slots=True)
class CountRow:
    """One counter: second queueings that MONITOR saw, those of them in Ferry's count, and why others needn't be.

    `missing` are ids that it lacks without a reason.
    """

    counter: str
    seen: int
    counted: int
    excused: int
    missing: tuple[str, ...]


def count_rows(evidence: Evidence, counts: FerryCounts) -> tuple[CountRow, ...]:
    """Compare id by id."""
    return (
        *(_told(evidence, counts, counter, causes) for counter, causes in _COUNTERS.items()),
        _rewound(evidence, counts),
    )


def wrong_counts(evidence: Evidence, counts: FerryCounts, rows: Sequence[CountRow]) -> Iterator[str]:
    """What Ferry's counts lack."""
    for row in rows:
        if row.missing:
            yield f"{len(row.missing)} second queueings are not in Ferry's count {row.counter}: {some(row.missing)}"
    for process in counts.processes:
        if process.shown != process.lines:
            yield (
                f"{process.log}: /metrics says {process.shown} {process.counter}, its log has {process.lines} lines "
                "that say so"
            )
    yield from _ledgers_that_lack_something(evidence, counts)


def restored_runs(evidence: Evidence) -> list[tuple[str, float]]:
    """Each copy that the transport handed back and that then ran or was split, with the time when it did."""
    starts = {tag: [run.started for run in runs] for tag, runs in evidence.executions_with.items()}
    pushes: dict[str, list[Push]] = defaultdict(list)
    for push in evidence.pushes:
        pushes[push.tag].append(push)
    found = []
    for tag, copies in pushes.items():
        # Of a batch's messages, all pushed at the same moment, the last one stands for it: no time is left to others.
        ends = [push.at for push in copies[1:]] + [float("inf")]
        claimed = [*starts.get(tag, ()), *_splits_of(evidence, tag)]
        for push, end in zip(copies, ends, strict=True):
            started = [at for at in claimed if push.at <= at < end]
            if push.cause is Cause.TRANSPORT and started:
                found.append((push.task_id, min(started)))
    return found


def _splits_of(evidence: Evidence, tag: str) -> list[float]:
    if not is_batch(tag):
        return []
    return [
        push.at
        for task_id in Tag.of(tag).task_ids
        for push in evidence.pushes_of.get(task_id, ())
        if push.cause is Cause.SPLIT and Tag.of(push.tag).is_attempt_after(Tag.of(tag))
    ]


@dataclass(slots=True)
class _Line:
    """What is left of a line: it stands for so many queueings."""

    at: float
    left: int


def _told(evidence: Evidence, counts: FerryCounts, counter: str, causes: Collection[Cause]) -> CountRow:
    lines: dict[str, list[_Line]] = defaultdict(list)
    for line in sorted(counts.lines, key=lambda line: line.at):
        if line.counter == counter:
            left = _Line(line.at, line.messages)
            for task_id in all_ids(line.task_id):
                lines[task_id].append(left)
    seen = [push for push in evidence.pushes if push.cause in causes]
    without = [push for push in seen if not _takes_line(lines[push.task_id], push.at)]
    missing = [push.task_id for push in without if not _lost_reply(evidence, push.at)]
    return CountRow(counter, len(seen), len(seen) - len(without), len(without) - len(missing), tuple(missing))


def _takes_line(lines: list[_Line], at: float) -> bool:
    """Each line stands for one queueing of an id, and for no more of all ids than it says."""
    for index, line in enumerate(lines):
        if line.left and at - EARLIER_SECONDS <= line.at <= at + LATER_SECONDS:
            line.left -= 1
            del lines[index]
            return True
    return False


def _lost_reply(evidence: Evidence, at: float) -> Effect | None:
    """Whoever queued it never learned that it had."""
    history, end = evidence.history, at + LATER_SECONDS
    # A server that goes on does what it was asked while it stood still, also for those who have given up on it.
    return history.touching((Killed, Held), {Part.CONSUMER}, at, end) or history.touching(
        (Away, Forgot), {Part.NETWORK, Part.VALKEY}, at - EARLIER_SECONDS, end
    )


def _rewound(evidence: Evidence, counts: FerryCounts) -> CountRow:
    takeovers: dict[int, list[Takeover]] = defaultdict(list)
    for takeover in sorted(counts.takeovers, key=lambda line: line.at):
        takeovers[takeover.partition].append(takeover)
    seen = counted = 0
    missing: list[str] = []
    for task_id, pushes in evidence.pushes_of.items():
        partition, offset = place_of(task_id)
        for before, push in after_another(pushes):
            if push.cause is not Cause.DISPATCH:
                continue
            seen += 1
            between = [
                line for line in takeovers[partition]
                if before.at <= line.at + _LOG_TIME_SECONDS and line.at <= push.at + _LOG_TIME_SECONDS
            ]  # fmt: skip
            if any(line.offset <= offset < line.offset + line.rewound for line in between):
                counted += 1
            elif not _nobody_knew(evidence, takeovers[partition], before, push):
                missing.append(task_id)
    return CountRow("rewound", seen, counted, seen - counted - len(missing), tuple(missing))


def _nobody_knew(evidence: Evidence, takeovers: Sequence[Takeover], before: Push, push: Push) -> bool:
    """Redis forgot how far it was, and so did who could have known: another consumer took it up, or the same one anew.

    Or it was counted, and only its line is missing: the acquisition could not be signed, or its reply was lost.
    """
    earlier = [line for line in takeovers if line.at <= push.at + _LOG_TIME_SECONDS]
    if not earlier:
        return False
    history, taken = evidence.history, earlier[-1].at
    if history.touching(Away, {Part.KAFKA, Part.NETWORK}, max(before.at, taken - _SIGNING_SECONDS), taken):
        return True
    changed = len(earlier) < 2 or earlier[-1].log != earlier[-2].log
    trouble = history.touching(Effect, {Part.CONSUMER, Part.KAFKA}, before.at, push.at)
    return bool(changed or trouble) and history.forgot(place_of(push.task_id).partition, before.at, push.at) is not None


def _ledgers_that_lack_something(evidence: Evidence, counts: FerryCounts) -> Iterator[str]:
    if unknown := sorted({place_of(task_id).partition for task_id in evidence.log} - counts.ledgers.keys()):
        yield f"ferry status does not tell of partitions {some(unknown)}"
    for partition, ledger in sorted(counts.ledgers.items()):
        since = max((loss.until for loss in evidence.history.losses(partition)), default=0.0)
        restored = [
            task_id for task_id, started in restored_runs(evidence)
            if place_of(task_id).partition == partition and started - CLAIMING_SECONDS > since
        ]  # fmt: skip
        rewound = sum(line.rewound for line in counts.takeovers if line.partition == partition and line.at > since)
        if ledger.restored < len(restored):
            yield (
                f"partition {partition}: ferry status says {ledger.restored} restored, and {len(restored)} copies that "
                f"the transport handed back have run since Redis last forgot: {some(restored)}"
            )
        if ledger.rewound < rewound:
            yield (
                f"partition {partition}: ferry status says {ledger.rewound} rewound, and consumers told of {rewound} "
                "since Redis last forgot"
            )
