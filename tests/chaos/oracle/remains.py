"""What was left once everything had drained. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_shared.ledger.keys import LedgerKeys, listening_key, status_key
from ferry_shared.record import TopicPartition
from ferry_worker.schedule import STATUS_QUEUE
from tests.chaos.oracle.sentences import some
from tests.chaos.routes import QUEUE, TOPIC
from tests.chaos.system import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.outcome import Run

#: The name of Ferry's Celery app.
_APP = "ferry_worker"
_QUEUES = (QUEUE, STATUS_QUEUE)
#: What kombu keeps of its queues, the lock of its sweep, a last run of the schedule that no worker was there for, and
#: who took from which queue until a moment ago.
MAY_REMAIN = frozenset(
    {
        "_kombu.binding_deadlines",
        *(f"_kombu.binding.{queue}" for queue in _QUEUES),
        *(f"_kombu.binding_permanent.{queue}" for queue in _QUEUES),
        "unacked_mutex",
        listening_key(""),
        STATUS_QUEUE,
    }
)


def must_remain(partitions: int) -> frozenset[str]:
    """The head of each partition's ledger, the group's status, and when the schedule ran last."""
    heads = (LedgerKeys.of("", GROUP, TopicPartition(TOPIC, number)).head for number in range(partitions))
    return frozenset({*heads, status_key("", GROUP), f"ferry:beat:{GROUP}:{_APP}"})


def leftovers(run: Run) -> Iterator[str]:
    """What didn't drain or took too long, keys that should be gone, and keys that should be there."""
    if run.drained.rest:
        yield f"it did not drain: {run.drained.rest} after {run.drained.seconds:.0f} s"
    elif run.drained.seconds > run.drained.most_seconds:
        yield f"it took {run.drained.seconds:.0f} s to drain, expected {run.drained.most_seconds:.0f} s at most"
    held, wanted = set(run.keys_left), must_remain(run.partitions)
    if strange := sorted(held - wanted - MAY_REMAIN):
        yield f"Redis still holds {len(strange)} keys that should be gone: {some(strange)}"
    if missing := sorted(wanted - held):
        yield f"Redis lacks {len(missing)} keys that should be there: {some(missing)}"
