"""Every message ends: done by the task's own word, or as a dead letter that Kafka has. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.chaos.effects import Away, Effect, Held, Killed, Left, Part, Rewound
from tests.chaos.evidence import place_of
from tests.chaos.messages import Behaviour
from tests.chaos.oracle.contents import wrong_contents
from tests.chaos.oracle.deaths import why_dead
from tests.chaos.oracle.explanation import Explanation, Repeat
from tests.chaos.oracle.losses import lost_with_redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.evidence import DeadLetter, Evidence, Execution

#: From a dead letter to its record in the ledger, on a busy machine.
_SLACK_SECONDS = 5.0
#: A session's timeout, and a rebalance on a busy machine.
TAKEOVER_SECONDS = 20.0
_BEHIND_ACQUISITIONS = {Part.CONSUMER, Part.KAFKA, Part.VALKEY, Part.NETWORK}


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
    """What ended as its message did not ask for: a valid one dead, a broken one done, or another message's content.

    A dead letter that a fault explains is told, too, with its fault.
    """
    yield from wrong_contents(evidence)
    for task_id, runs in evidence.executions_of.items():
        behaviour = evidence.log.get(task_id)
        if behaviour is None or behaviour is Behaviour.INVALID:
            yield Repeat("executed, though not a valid message", task_id, runs[0].started, None)
        elif wrong := next((run for run in runs if run.how and not _may_end(behaviour, runs, run)), None):
            yield Repeat(f"{wrong.how}, though the message {behaviour}", task_id, wrong.started, None)
    for letter in evidence.dead_letters:
        explanation = why_dead(evidence, letter)
        if explanation is None or explanation.fault is not None:
            yield Repeat(f"dead letter: {letter.reason}", letter.task_id, letter.at, explanation)


def _may_end(behaviour: Behaviour, runs: Sequence[Execution], run: Execution) -> bool:
    """A task that raises is never done; what asks for a retry, ends its process or hangs first is done after that."""
    earlier = [other for other in runs if other.started < run.started]
    match behaviour, run.how:
        case Behaviour.RAISES, how:
            return how == "raised"
        case Behaviour.RETRIES, "asked":
            return True
        case Behaviour.RETRIES, "done":
            return any(other.how == "asked" for other in earlier)
        case Behaviour.EXITS | Behaviour.HANGS, "done":
            return any(other.how is None for other in earlier)
        case _, how:
            return how == "done"


def repeated_dead_letters(evidence: Evidence) -> Iterator[Repeat]:
    """Every dead letter of an id after its first: each needs a cause of its own, which hit the one that wrote it.

    One fault may be the cause in two ways: an operator rewinds a group whose consumers left and join again.
    """
    for task_id, letters in evidence.dead_letters_of.items():
        blamed: set[tuple[str, int]] = set()
        for before, letter in pairwise(letters):
            explanation = _why_again(evidence, before, letter, blamed)
            if explanation and explanation.fault is not None:
                blamed.add((explanation.cause, explanation.fault))
            yield Repeat("dead letter", task_id, letter.at, explanation)


def _why_again(
    evidence: Evidence, before: DeadLetter, letter: DeadLetter, blamed: set[tuple[str, int]]
) -> Explanation | None:
    for cause, effect in _causes(evidence, before, letter):
        if (cause, effect.fault) not in blamed:
            return Explanation(cause, effect.fault)
    return None


def _causes(evidence: Evidence, before: DeadLetter, letter: DeadLetter) -> Iterator[tuple[str, Effect]]:
    partition, offset = place_of(letter.task_id)
    start, again = before.at - _SLACK_SECONDS, letter.at
    writer = _writer(evidence, before)
    # A snapshot between the letter and its record doesn't know of it either; and a consumer writes the letter of a
    # failure that it has read when Redis has already lost it.
    failed = [run.ended for run in evidence.executions_of.get(letter.task_id, ()) if run.how == "raised" and run.ended]
    recently = [ended for ended in failed if start <= ended <= before.at]
    for learned in (*recently, before.at, min(before.at + _SLACK_SECONDS, again)):
        if forgot := lost_with_redis(evidence, letter.task_id, learned, again):
            yield "its record was lost with Redis", forgot
    for effect in evidence.history.effects:
        match effect:
            case Rewound() if effect.touches(start, again) and effect.offsets.get(partition, offset + 1) <= offset:
                yield "rewound by an operator", effect
            case Killed(pid=pid) | Held(pid=pid) | Left(pid=pid) if pid == writer and effect.touches(start, again):
                yield "its consumer died, stood still or left before it was recorded", effect
            case Away(part=Part.VALKEY | Part.NETWORK | Part.KAFKA) if effect.touches(
                start, before.at + _SLACK_SECONDS
            ):
                yield "a server was away before it was recorded", effect
    for line in evidence.acquired(partition, start, again):
        if behind := evidence.history.touching(Effect, _BEHIND_ACQUISITIONS, line.at - TAKEOVER_SECONDS, line.at):
            yield "the partition changed hands before it was recorded", behind


def _writer(evidence: Evidence, letter: DeadLetter) -> int | None:
    """The process whose line is the nearest to the letter."""
    lines = evidence.letter_lines_of.get(letter.task_id, ())
    return min(lines, key=lambda line: abs(line.at - letter.at)).pid if lines else None
