"""Every second copy of a task in the queue needs a reason that lies outside Ferry's own word. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Forgot, Full, Held, Killed, Left, Part
from tests.chaos.evidence import place_of
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.explanation import Explanation, Repeat
from tests.chaos.oracle.losses import lost_with_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.effects import Effect
    from tests.chaos.evidence import Evidence
    from tests.chaos.monitor_lines import Push

#: A consumer's line is written right before or after its script; a busy machine takes its time.
LINE_SECONDS = 10.0
#: A worker loses what it was just taking: a copy counts as touched this long before.
EARLIER_SECONDS = 1.0
_LOG_TIME_SECONDS = 0.01
WORKERS = 2
#: The consumer looks twice, so long apart, before it takes a copy for lost.
SECOND_LOOK_SECONDS = 5.0


def repeated_queueings(evidence: Evidence) -> Iterator[Repeat]:
    """Every copy of an id after its first, explained or not; and first copies that were no dispatch."""
    for task_id, pushes in evidence.pushes_of.items():
        if pushes[0].cause is not Cause.DISPATCH:
            yield Repeat(pushes[0].cause, task_id, pushes[0].at, None)
        for before, push in pairwise(pushes):
            yield Repeat(push.cause, task_id, push.at, _explained(evidence, before, push))


def _explained(evidence: Evidence, before: Push, push: Push) -> Explanation | None:
    match push.cause:
        case Cause.DISPATCH:
            return _dispatched_again(evidence, before, push)
        case Cause.RETRY:
            return _retried(evidence, push)
        case Cause.REDELIVERY:
            return _redelivered(evidence, before, push)
        case Cause.TRANSPORT:
            return _handed_back(evidence, before, push)
        case _:
            return None


def _dispatched_again(evidence: Evidence, before: Push, push: Push) -> Explanation | None:
    """The partition was taken up below it in between, and an operator or Redis' loss is behind that."""
    partition, offset = place_of(push.task_id)
    taken_up = any(
        line.partition == partition and line.offset <= offset and before.at <= line.at + LINE_SECONDS
        and line.at <= push.at + _LOG_TIME_SECONDS
        for line in evidence.acquisitions
    )  # fmt: skip
    if not taken_up:
        return None
    if rewound := evidence.history.rewound(partition, offset, before.at, push.at):
        return Explanation("rewound by an operator", rewound.fault)
    if forgot := lost_with_redis(evidence, push.task_id, before.at, push.at):
        return Explanation("lost with Redis, dispatched again", forgot.fault)
    return None


def _retried(evidence: Evidence, push: Push) -> Explanation | None:
    """The task had asked as often, or the record of an earlier queueing was lost with Redis."""
    earlier = [
        other.at for other in evidence.pushes_of[push.task_id] if other.cause is Cause.RETRY and other.at < push.at
    ]
    if evidence.asked_before(push.task_id, push.at) > len(earlier):
        return Explanation("the task asked for a retry")
    for at in earlier:
        if forgot := lost_with_redis(evidence, push.task_id, at, push.at):
            return Explanation("retried again: Redis lost that it had been", forgot.fault)
    return None


def _redelivered(evidence: Evidence, before: Push, push: Push) -> Explanation | None:
    """A consumer says so, or lost the reply; something has made the copy before vanish; and it never appears again."""
    said = any(
        push.at - _LOG_TIME_SECONDS <= at <= push.at + LINE_SECONDS
        for at in evidence.redelivered_at.get(push.task_id, ())
    )
    if (not said and not _lost_reply(evidence, push)) or _was_there_all_along(evidence, before, push):
        return None
    return _vanished(evidence, "redelivered", before, push)


def _was_there_all_along(evidence: Evidence, before: Push, push: Push) -> bool:
    """A worker took the earlier copy after it had been replaced.

    That may be so if the worker stood still with it in its hands, or if Redis went back to when it was there.
    """
    for taken in evidence.takes.get(before.tag, ()):
        if taken <= push.at:
            continue
        brought_back = evidence.history.touching(Forgot, {Part.VALKEY}, push.at, taken)
        held = evidence.history.touching(Held, {Part.WORKER}, push.at - SECOND_LOOK_SECONDS, push.at)
        if not brought_back and not held:
            return True
    return False


def _lost_reply(evidence: Evidence, push: Push) -> Effect | None:
    history, end = evidence.history, push.at + LINE_SECONDS
    return history.touching((Killed, Held), {Part.CONSUMER}, push.at, end) or history.touching(
        (Away, Forgot), {Part.NETWORK, Part.VALKEY}, push.at, end
    )


def _handed_back(evidence: Evidence, before: Push, push: Push) -> Explanation | None:
    """Every worker that has had this copy in its hands may hand it back once for each trouble, also after the other."""
    copies = [other for other in evidence.pushes_of[push.task_id] if other.tag == push.tag and other.at < push.at]
    times = sum(other.cause is Cause.TRANSPORT for other in copies)
    first = copies[0] if copies else before
    if times >= WORKERS * max(1, _troubles(evidence, first.at - EARLIER_SECONDS, push.at)):
        return None
    return _vanished(evidence, "handed back by the transport", first, push)


def _troubles(evidence: Evidence, start: float, end: float) -> int:
    parts = {Part.WORKER, Part.WORKER_CHILD, Part.VALKEY}
    return len(
        {effect.fault for effect in evidence.history.effects if effect.part in parts and effect.touches(start, end)}
    )


def _vanished(evidence: Evidence, what: str, before: Push, push: Push) -> Explanation | None:
    """The copy before was in the hands of a worker that had trouble, or in a Redis that had."""
    if evidence.log.get(push.task_id) in {Behaviour.EXITS, Behaviour.HANGS}:
        return Explanation(f"{what}: its own process ended")
    start = before.at - EARLIER_SECONDS
    for kinds, parts, why in (
        ((Killed, Held, Left), {Part.WORKER, Part.WORKER_CHILD}, "a worker died, stood still or left"),
        ((Forgot, Away), {Part.VALKEY}, "Redis lost it or was away"),
        (Full, {Part.VALKEY}, "Redis was full"),
    ):
        if effect := evidence.history.touching(kinds, parts, start, push.at):
            return Explanation(f"{what}: {why}", effect.fault)
    return None
