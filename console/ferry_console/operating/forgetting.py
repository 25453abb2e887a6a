"""Whether a group may be forgotten: what stands in the way, and what is lost if it is forgotten all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_console.doctor.kafka_facts import Absence, Unknown
from ferry_console.moments import age_text
from ferry_shared.ledger.consumer_ledger import Condition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ferry_console.doctor.kafka_facts import GroupFacts
    from ferry_console.operating.group_keys import Found
    from ferry_shared.ledger.group_view import LedgerView
    from ferry_shared.record import TopicPartition
    from ferry_shared.status import PartitionStatus

#: More partitions are counted, not listed.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a group isn't forgotten. `loses` is what is lost with --force; None: --force doesn't help."""

    told: str
    loses: str | None = None


@dataclass(frozen=True, slots=True)
class KafkaWord:
    """What Kafka says of the group, or why it says nothing; `gone` are topics that aren't there any more."""

    group: GroupFacts | Unknown
    committed: Mapping[TopicPartition, int] | Unknown
    gone: Collection[str]


def obstacles(
    found: Sequence[Found],
    words: Sequence[PartitionStatus],
    kafka: KafkaWord | str,
    now_ms: int,
    silent_after_seconds: float,
) -> list[Obstacle]:
    """All that stands in the way; `kafka` is a sentence where Kafka can't be reached."""
    ledgers = {one.place: one.view for one in found if one.place is not None and one.view is not None}
    told = [*_consumers(words, now_ms, silent_after_seconds), *_members(kafka), *_in_flight(ledgers)]
    if isinstance(kafka, str):
        told.append(Obstacle(kafka, "whether its consumers have ended isn't known, nor from where it would go on"))
    elif not isinstance(kafka.committed, Unknown):
        told += _uncommitted(ledgers, kafka.committed, kafka.gone)
    elif kafka.committed.absence is not Absence.MISSING:
        told.append(Obstacle(f"Kafka doesn't tell what it has committed: {kafka.committed.told}", _FROM_ELSEWHERE))
    else:
        told += _uncommitted(ledgers, {}, kafka.gone)
    return told


_FROM_ELSEWHERE = "if the group comes back, it may begin elsewhere than it ended"


def _consumers(words: Sequence[PartitionStatus], now_ms: int, silent_after_seconds: float) -> Iterator[Obstacle]:
    """Consumers that have told something lately."""
    last: dict[str, float] = {}
    for word in words:
        age = max(0, now_ms - word.at_ms) / 1000
        if age <= silent_after_seconds:
            last[word.consumer] = min(age, last.get(word.consumer, age))
    for consumer, age in sorted(last.items()):
        yield Obstacle(
            f"the consumer {consumer} has told of it {age_text(age)} ago: end it, and try again in "
            f"{silent_after_seconds:.0f} s"
        )


def _members(kafka: KafkaWord | str) -> Iterator[Obstacle]:
    if isinstance(kafka, str):
        return
    group = kafka.group
    if isinstance(group, Unknown):
        if group.absence is not Absence.MISSING:
            yield Obstacle(f"Kafka doesn't tell of its members: {group.told}", "whether its consumers have ended")
    elif group.members:
        yield Obstacle(
            f"it has {group.members} member{'' if group.members == 1 else 's'} in Kafka ({group.state}): end them"
        )


def _in_flight(ledgers: Mapping[TopicPartition, LedgerView]) -> Iterator[Obstacle]:
    busy = {place: view.in_flight for place, view in ledgers.items() if view.in_flight}
    if busy:
        total = sum(busy.values())
        yield Obstacle(
            f"{total:,} message{'' if total == 1 else 's'} in flight of {_named(busy)}: ferry drain waits for them",
            "they never end here, as done or as a dead letter; if the group comes back they are dispatched again, and "
            "what is queued of them is not run",
        )
    broken = [place for place, view in ledgers.items() if view.condition not in {Condition.SOUND, Condition.ABSENT}]
    if broken:
        yield Obstacle(
            f"the ledger of {_named(broken)} can't be read: what is in flight isn't known", "what was in flight there"
        )


def _uncommitted(
    ledgers: Mapping[TopicPartition, LedgerView], committed: Mapping[TopicPartition, int], gone: Collection[str]
) -> Iterator[Obstacle]:
    """What only the ledger knows: that offsets behind Kafka's commit are done, and where it is without any commit."""
    heads = {place: view.head for place, view in ledgers.items() if place.topic not in gone}
    positions = {place: head.position for place, head in heads.items() if head is not None}
    behind = {
        place: position - committed[place]
        for place, position in positions.items()
        if place in committed and position > committed[place]
    }
    if behind:
        yield Obstacle(
            f"{sum(behind.values()):,} offsets of {_named(behind)} are dispatched and not committed in Kafka: a "
            "consumer commits them once they are done",
            "if the group comes back, they are dispatched again, also those that are done",
        )
    missing = [place for place, position in positions.items() if place not in committed and position]
    if missing:
        yield Obstacle(
            f"Kafka has no commit of the group for {_named(missing)}: only the ledger knows where it is",
            "if the group comes back, it begins where CONSUMER_OFFSET_RESET says",
        )


def _named(places: Collection[TopicPartition]) -> str:
    listed = [str(place) for place in sorted(places)]
    more = f" and {len(listed) - MOST_NAMED:,} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more
