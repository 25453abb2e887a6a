"""Every second copy of a task in the queue needs a reason that lies outside Ferry's own word. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.copies import Happened, Standing, standing_after, until
from tests.chaos.effects import Away, Forgot, Held, Killed, Part
from tests.chaos.evidence import place_of
from tests.chaos.monitor_lines import Cause, after_another
from tests.chaos.oracle.batches import soft_limit_struck
from tests.chaos.oracle.explanation import Explanation, Repeat
from tests.chaos.oracle.losses import dispatched_after_loss, lost_with_redis
from tests.chaos.oracle.splits import split_off
from tests.chaos.oracle.vanishing import outlived_claim, trouble
from tests.chaos.tags import Tag, copy_before, is_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.effects import Effect
    from tests.chaos.evidence import Evidence, Execution
    from tests.chaos.limits import Limits
    from tests.chaos.monitor_lines import Push

#: A consumer's line is written right before or after its script; a busy machine takes its time.
LINE_SECONDS = 10.0
_LOG_TIME_SECONDS = 0.01
#: The consumer looks twice, so long apart, before it takes a copy for lost.
SECOND_LOOK_SECONDS = 5.0
#: Between the server's clock, as MONITOR tells it, and the harness' own.
_MOMENT_SECONDS = 0.05
#: A push and its step are read from one line.
_SAME_MOMENT_SECONDS = 1e-9
_BEGINNINGS = {Happened.QUEUED, Happened.TAKEN, Happened.HANDED_BACK}
_WORKER_PARTS = {Part.WORKER, Part.WORKER_CHILD}


def repeated_queueings(evidence: Evidence, limits: Limits) -> Iterator[Repeat]:
    """Every copy of an id after its first, explained or not; and first copies that were no dispatch."""
    for task_id, pushes in evidence.pushes_of.items():
        if pushes[0].cause is not Cause.DISPATCH:
            yield Repeat(pushes[0].cause, task_id, pushes[0].at, None)
        for before, push in after_another(pushes):
            yield Repeat(push.cause, task_id, push.at, _explained(evidence, limits, before, push))


def _explained(evidence: Evidence, limits: Limits, before: Push, push: Push) -> Explanation | None:
    found: Explanation | None = None
    match push.cause:
        case Cause.DISPATCH:
            found = _dispatched_again(evidence, before, push)
        case Cause.RETRY:
            found = _retried(evidence, limits, push)
        case Cause.REDELIVERY | Cause.DIVISION:
            found = _redelivered(evidence, limits, before, push)
        case Cause.TRANSPORT:
            found = _handed_back(evidence, limits, push)
        case Cause.SPLIT:
            found = split_off(evidence, limits, push)
        case Cause.LEFT_BATCH:
            found = (
                _retried(evidence, limits, push)
                or split_off(evidence, limits, push)
                or _redelivered(evidence, limits, before, push)
            )
    return found


def _dispatched_again(evidence: Evidence, before: Push, push: Push) -> Explanation | None:
    """The partition was taken up below it in between, and an operator or Redis' loss is behind that."""
    place = place_of(push.task_id)
    if not evidence.taken_up(place, before.at - LINE_SECONDS, push.at + _LOG_TIME_SECONDS):
        return None
    if rewound := evidence.history.rewound(*place, before.at, push.at):
        return Explanation("rewound by an operator", rewound.fault)
    if forgot := dispatched_after_loss(evidence, push.task_id, before.at, push.at):
        return Explanation("lost with Redis, dispatched again", forgot.fault)
    return None


def _retried(evidence: Evidence, limits: Limits, push: Push) -> Explanation | None:
    """The task had asked for this attempt, and as often; or the record of an earlier queueing was lost with Redis.

    Or its batch was out of time while it ran: then nobody had to ask.
    """
    earlier = [
        other.at for other in evidence.pushes_of[push.task_id] if other.cause is Cause.RETRY and other.at < push.at
    ]
    asked = evidence.asked_before(push.task_id, push.at)
    if len(asked) > len(earlier) and any(Tag.of(push.tag).is_attempt_after(Tag.of(run.tag)) for run in asked):
        return Explanation("the task asked for a retry")
    if any(soft_limit_struck(evidence, limits, run, push.tag, push.at) for run in _begun(evidence, push)):
        return Explanation("put off: its batch's soft limit struck")
    for at in reversed(earlier):
        if forgot := lost_with_redis(evidence, push.task_id, at, push.at):
            return Explanation("retried again: Redis lost that it had been", forgot.fault)
    return None


def _begun(evidence: Evidence, push: Push) -> list[Execution]:
    return [run for run in evidence.executions_of.get(push.task_id, ()) if run.started < push.at]


def _redelivered(evidence: Evidence, limits: Limits, before: Push, push: Push) -> Explanation | None:
    """A consumer says so, or lost the reply; the copy before, or its batch, had vanished; and never appears again."""
    said = any(
        push.at - _LOG_TIME_SECONDS <= at <= push.at + LINE_SECONDS
        for at in evidence.redelivered_at.get(push.task_id, ())
    )
    if not said and not _lost_reply(evidence, push):
        return None
    older = _replaced(evidence, before, push)
    if _appears_again(evidence, older, push):
        return None
    return _vanished(evidence, limits, older, push)


def _replaced(evidence: Evidence, before: Push, push: Push) -> str:
    """The tag of the copy before: that of its batch, where the message leaves it or Redis lost that it had."""
    older = copy_before(push.tag)
    earlier = [other.tag for other in evidence.pushes_of[push.task_id] if other.at < push.at]
    return older if older in earlier else next(filter(is_batch, reversed(earlier)), older or before.tag)


def _vanished(evidence: Evidence, limits: Limits, older: str, push: Push) -> Explanation | None:
    """As far as MONITOR tells it was neither taken nor in the queue, or a pop was lost with the worker that popped;
    or it had been acknowledged unrun, because of a claim that has ended since."""
    steps = until(evidence.copies.get(older, ()), push.at, Happened.REPLACED)
    standing = standing_after(steps)
    if standing.taken_at is not None:
        return None
    begun = [step.at for step in steps if step.what in _BEGINNINGS]
    since = begun[-1] if begun else push.at
    if steps and steps[-1].what is Happened.FORGOTTEN:
        at = steps[-1].at
        loss = evidence.history.touching(Forgot, {Part.VALKEY}, at - _MOMENT_SECONDS, at + _MOMENT_SECONDS)
        return Explanation("redelivered: Redis lost it or was away", loss.fault) if loss else None
    if steps and steps[-1].what is Happened.ACKNOWLEDGED:
        lease_began_until = push.at - limits.lease_seconds
        if claim := outlived_claim(evidence, "redelivered", older, steps[-1].at, lease_began_until):
            return claim
    return trouble(evidence, limits, "redelivered", older, since, push.at)


def _appears_again(evidence: Evidence, older: str, push: Push) -> bool:
    """A worker took or ran the earlier copy after it had been replaced.

    That may be so if the worker stood still with it in its hands, or if Redis went back to when it was there.
    """
    steps = evidence.copies.get(older, ())
    appearances = [step.at for step in steps if step.what is Happened.TAKEN and step.at > push.at]
    appearances += [
        run.started
        for run in evidence.executions_of.get(push.task_id, ())
        if run.tag == older and run.started > push.at + _LOG_TIME_SECONDS
    ]
    held = evidence.history.touching(Held, _WORKER_PARTS, push.at - SECOND_LOOK_SECONDS, push.at)
    return any(not held and not evidence.history.touching(Forgot, {Part.VALKEY}, push.at, at) for at in appearances)


def _lost_reply(evidence: Evidence, push: Push) -> Effect | None:
    history, end = evidence.history, push.at + LINE_SECONDS
    return history.touching((Killed, Held), {Part.CONSUMER}, push.at, end) or history.touching(
        (Away, Forgot), {Part.NETWORK, Part.VALKEY}, push.at, end
    )


def _handed_back(evidence: Evidence, limits: Limits, push: Push) -> Explanation | None:
    """A worker had taken this copy and not acknowledged it, and had trouble since; so each taking is for one return."""
    standing = Standing()
    for step in evidence.copies.get(push.tag, ()):
        if step.what is Happened.HANDED_BACK and abs(step.at - push.at) < _SAME_MOMENT_SECONDS:
            break
        standing = standing.after(step)
    else:
        return None
    if standing.taken_at is None:
        return None
    what = "handed back by the transport"
    return trouble(evidence, limits, what, push.tag, standing.taken_at, push.at) or _without_ledger(
        evidence, what, push, standing.taken_at
    )


def _without_ledger(evidence: Evidence, what: str, push: Push, taken_at: float) -> Explanation | None:
    """A worker that never saw the partition's ledger gives its message back; nobody had made it anew by then."""
    partition, _ = place_of(push.task_id)
    earlier = [loss for loss in evidence.history.losses(partition) if loss.at <= taken_at]
    lost = max(earlier, key=lambda loss: loss.at, default=None)
    if lost is None or evidence.acquired(partition, lost.at, taken_at):
        return None
    ran = any(run.started >= taken_at for run in evidence.executions_with.get(push.tag, ()))
    return None if ran else Explanation(f"{what}: the partition had no ledger", lost.fault)
