"""Where a partition is taken up when it is assigned, and what becomes of its ledger. Pure: facts in, plan out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from ferry_consumer.commit import Signature
from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.consumer_ledger import Condition

if TYPE_CHECKING:
    from ferry_shared.ledger.consumer_ledger import Head, Inspection


class Reason(StrEnum):
    """Why a partition starts where it starts."""

    FRESH = "the group is new to this partition"
    CONTINUED = "continued from the ledger"
    OPERATOR = "an operator set the group's offset"
    RECREATED = "the topic was created anew"
    LEDGER_LOST = "Redis has lost the ledger: what was in flight is dispatched again"


@dataclass(frozen=True, slots=True)
class Committed:
    """The group's committed offset in Kafka, with its metadata."""

    offset: int
    metadata: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides. `epoch_in_memory` is the highest epoch that this process has held for the partition,
    `reached_in_memory` the end of what it dispatched then; `topic_known` tells that the partition
    was added to a topic which the group reads; `now_seconds` is the time by Redis' clock, since 1970."""

    committed: Committed | None
    ledger: Inspection
    cluster_id: str
    topic_id: str
    log_start: int
    log_end: int
    offset_reset: Literal["earliest", "latest"]
    topic_known: bool
    epoch_in_memory: int
    reached_in_memory: int = 0
    now_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to take the partition up.

    `ledger` is the id to keep, or None for a new one. `drop` forgets every entry, `drop_from` those at or above it.
    `lost_to_retention` counts offsets that Kafka deleted before they were dispatched, `truncated` those that its log
    no longer has at its end, `rewound` those that are dispatched again, as far as anybody knows.
    """

    reason: Reason
    ledger: str | None
    epoch_floor: int
    position: int
    committed: int
    drop: bool
    drop_from: int | None = None
    lost_to_retention: int = 0
    truncated: int = 0
    rewound: int = 0


def plan(facts: Facts) -> Plan:
    """Decide.

    Raises:
        ConfigurationError: another Kafka cluster uses the same keys.
    """
    head = facts.ledger.head if facts.ledger.condition is Condition.SOUND else None
    if head and (problem := of_another_cluster(head.cluster_id, facts.cluster_id)):
        raise ConfigurationError(problem)
    wanted = _within_log(_wanted(facts, head), facts)
    return replace(wanted, rewound=_rewound(wanted, facts))


def of_another_cluster(ledgers: str, kafkas: str) -> str | None:
    """Say what is wrong when a ledger was made for another cluster than Kafka's; a ledger may name none."""
    if ledgers in {"", kafkas}:
        return None
    return (
        f"The ledger in Redis belongs to Kafka cluster {ledgers}, this is {kafkas}: "
        "expected a CONSUMER_GROUP or FERRY_KEY_PREFIX of its own for each cluster"
    )


def went_back(ledger: Inspection, epoch: int, position: int, committed: int) -> bool:
    """Tell whether Redis has lost the ledger or what this process last did to it, and with that perhaps a pause."""
    if ledger.condition is not Condition.SOUND or ledger.head is None:
        return True
    if ledger.head.epoch != epoch:
        return ledger.head.epoch < epoch
    return ledger.head.position < position or ledger.head.committed < committed


def is_signed(committed: Committed | None, wanted: Plan) -> bool:
    """Tell whether Kafka has the plan's start already, under a signature of ours."""
    return wanted.reason is Reason.CONTINUED and committed is not None and committed.offset == wanted.committed


def _wanted(facts: Facts, head: Head | None) -> Plan:
    committed = facts.committed
    signature = Signature.parse(committed.metadata) if committed else None
    floor = max(head.epoch if head else 0, signature.epoch if signature else 0, facts.epoch_in_memory)
    if head and signature and head.epoch < signature.epoch:
        # Redis went back to before the acquisition that signed this commit: to before a rewind, or to the topic before.
        head = None
    if committed and not signature:
        if not head:
            # Nobody knows the epochs before it; above them all, it is not taken for one that a snapshot brings back.
            floor = max(floor, facts.now_seconds)
        return _start(Reason.OPERATOR, head.ledger if head else None, floor, committed.offset)
    if _recreated(facts, head, signature):
        return _start(Reason.RECREATED, None, floor, facts.log_start)
    if head:
        known = _known_commit(head, committed, signature)
        return Plan(Reason.CONTINUED, head.ledger, floor, max(head.position, known), known, drop=False)
    if committed:
        return _start(Reason.LEDGER_LOST, None, floor, committed.offset)
    return _start(Reason.FRESH, None, floor, _reset(facts))


def _known_commit(head: Head, committed: Committed | None, signature: Signature | None) -> int:
    """The highest commit that counts. An acquisition writes the one that it found into the head: a lower number there
    beside an older signature is meant, of a log found truncated or a topic found new, and only its signing failed."""
    if committed is None or (signature and signature.epoch < head.epoch):
        return head.committed
    return max(head.committed, committed.offset)


def _start(reason: Reason, ledger: str | None, floor: int, offset: int) -> Plan:
    return Plan(reason, ledger, floor, offset, offset, drop=True)


def _rewound(wanted: Plan, facts: Facts) -> int:
    """Offsets between the new start and the end of what was dispatched before: by the head, or by memory where the head
    is gone or older than that. A head that was acquired since has been counted by whoever acquired it."""
    if wanted.reason is Reason.RECREATED:
        return 0
    head = facts.ledger.head
    reached = head.position if head else 0
    if head is None or head.epoch <= facts.epoch_in_memory:
        reached = max(reached, facts.reached_in_memory)
    return max(0, min(reached, facts.log_end) - wanted.position)


def _recreated(facts: Facts, head: Head | None, signature: Signature | None) -> bool:
    known = head.topic_id if head else signature.topic_id if signature else ""
    return bool(known and facts.topic_id and known != facts.topic_id)


def _reset(facts: Facts) -> int:
    """librdkafka's own reset is off: it happens silently, and `latest` then loses what it passes over."""
    if facts.topic_known or facts.offset_reset == "earliest":
        return facts.log_start
    return facts.log_end


def _within_log(wanted: Plan, facts: Facts) -> Plan:
    """Move a start that Kafka no longer has to the nearest that it has, and count what that costs."""
    if wanted.position > facts.log_end:
        return replace(
            wanted,
            position=facts.log_end,
            committed=min(wanted.committed, facts.log_end),
            drop_from=None if wanted.drop else facts.log_end,
            truncated=wanted.position - facts.log_end,
        )
    if wanted.position < facts.log_start:
        lost = facts.log_start - wanted.position if wanted.reason is not Reason.OPERATOR else 0
        committed = max(wanted.committed, facts.log_start) if wanted.drop else wanted.committed
        return replace(wanted, position=facts.log_start, committed=committed, lost_to_retention=lost)
    return wanted
