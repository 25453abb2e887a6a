"""Every message ends: done by the task's own word, or as a dead letter that Kafka has. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Effect, Forgot, Part
from tests.chaos.evidence import place_of
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.explanation import Explanation, Repeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.evidence import DeadLetter, Evidence

_WORKERS_AND_REDIS = {Part.WORKER, Part.WORKER_CHILD, Part.VALKEY}
_MUST_DIE = {Behaviour.INVALID: "invalid", Behaviour.RAISES: "ValueError"}
_SLACK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """One partition: how many messages it holds, how many are done and dead (a few are both), and which are neither."""

    partition: int
    offsets: int
    done: int
    dead: int
    lost: tuple[str, ...]


def accounts(evidence: Evidence) -> list[Account]:
    """Offsets minus done minus dead, by partition."""
    done = {run.task_id for run in evidence.executions if run.how == "done"}
    dead = evidence.dead_letters_of.keys()
    members: dict[int, list[str]] = defaultdict(list)
    for task_id in evidence.log:
        members[place_of(task_id).partition].append(task_id)
    return [
        Account(
            partition, len(own), len(done.intersection(own)), len(dead & set(own)),
            tuple(task_id for task_id in own if task_id not in done and task_id not in dead),
        )
        for partition, own in sorted(members.items())
    ]  # fmt: skip


def wrong_endings(evidence: Evidence) -> Iterator[Repeat]:
    """What ended as its message did not ask for: a valid one dead, a broken one done, one that Kafka never had."""
    for task_id in evidence.executions_of:
        behaviour = evidence.log.get(task_id)
        if behaviour is None or behaviour is Behaviour.INVALID:
            yield Repeat(
                "executed, though not a valid message", task_id, evidence.executions_of[task_id][0].started, None
            )
    for task_id, letters in evidence.dead_letters_of.items():
        letter = letters[0]
        explanation = _why_dead(evidence, task_id, letter)
        if explanation is None or explanation.fault is not None:
            yield Repeat(f"dead letter: {letter.reason}", task_id, letter.at, explanation)


def _why_dead(evidence: Evidence, task_id: str, letter: DeadLetter) -> Explanation | None:
    behaviour = evidence.log.get(task_id)
    if behaviour in {Behaviour.INVALID, Behaviour.RAISES, Behaviour.HANGS}:
        return Explanation(f"the message {behaviour}")
    if behaviour is None or letter.reason in {"invalid", "ValueError"}:
        return None
    pushes = evidence.pushes_of.get(task_id, ())
    begun = pushes[0].at if pushes else letter.at
    effect = evidence.history.touching(Effect, _WORKERS_AND_REDIS, begun - 1.0, letter.at)
    return Explanation(f"{letter.reason}, under a fault", effect.fault) if effect else None


def repeated_dead_letters(evidence: Evidence) -> Iterator[Repeat]:
    """Every dead letter of an id after its first: the consumer, Kafka or Redis had trouble in between."""
    for task_id, letters in evidence.dead_letters_of.items():
        partition, offset = place_of(task_id)
        for before, letter in pairwise(letters):
            yield Repeat(
                "dead letter", task_id, letter.at, _why_again(evidence, partition, offset, before.at, letter.at)
            )


def _why_again(evidence: Evidence, partition: int, offset: int, before: float, again: float) -> Explanation | None:
    history, start = evidence.history, before - _SLACK_SECONDS
    if rewound := history.rewound(partition, offset, start, again):
        return Explanation("rewound by an operator", rewound.fault)
    if effect := history.touching(Forgot, {Part.VALKEY}, start, again):
        return Explanation("its record was lost with Redis", effect.fault)
    if effect := history.touching(Effect, {Part.CONSUMER}, start, again):
        return Explanation("the consumer died, stood still or left before it was recorded", effect.fault)
    if effect := history.touching(Away, {Part.VALKEY, Part.NETWORK, Part.KAFKA}, start, again):
        return Explanation("a server was away before it was recorded", effect.fault)
    if any(line.partition == partition and start <= line.at <= again for line in evidence.acquisitions):
        return Explanation("the partition changed hands before it was recorded")
    return None
