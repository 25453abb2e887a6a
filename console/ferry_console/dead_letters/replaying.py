"""Replay dead letters one batch after the other: mark, send, settle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ferry_console.dead_letters.purge_fences import Fence
from ferry_console.dead_letters.replay_marks import Taken, read_marks, settle, take
from ferry_console.dead_letters.replay_sending import Delivery
from ferry_console.dead_letters.replays import Replay, Unfit, prepared
from ferry_console.moments import moment_text
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from ferry_console.dead_letters.replay_marks import Mark
    from ferry_console.dead_letters.replay_sending import Answer
    from ferry_shared.record import Record, TaskId

#: Marked and sent at once; when the command is killed, of so many nobody knows.
BATCH_LETTERS = 100
BATCH_BYTES = 8 * 1024 * 1024
#: More problems are counted, not kept.
MOST_PROBLEMS = 1_000


_UNSENT = (
    "was not sent, and may be marked as if it were, for Redis has not answered: if the next run calls it unclear, "
    "replay it by its id with --force"
)


class Result(StrEnum):
    """What became of a dead letter. `BEFORE`: it was replayed before; `UNCLEAR`: nobody knows whether it went out;
    `PURGED`: somebody removes it at this moment."""

    REPLAYED = "replayed"
    BEFORE = "replayed before"
    UNCLEAR = "unclear"
    PURGED = "purged"
    UNFIT = "unfit"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """A dead letter that wasn't replayed; `why` is the rest of a sentence about it."""

    id: str
    result: Result
    why: str


@dataclass
class Tally:
    """How many ended how; `problems` are the first of those that need a look."""

    counts: Counter[Result] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, result: Result, letter_id: str, why: str = "") -> None:
        """Count one."""
        self.counts[result] += 1
        if result not in {Result.REPLAYED, Result.BEFORE} and len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(letter_id, result, why))


class Sender(Protocol):
    """Sends records and waits for Kafka's answers."""

    def send(self, replays: Sequence[Replay]) -> list[Answer]:
        """One answer for each."""
        ...


class Enough(Exception):
    """No more are wanted: as many as were asked for are replayed, or somebody has interrupted the command."""


class Replaying:
    """Takes dead letters one by one, and replays them in batches; `finish` sends what is left.

    Without a `sender` nothing is marked or sent, and what would be is told (a dry run). `suffix` is what the names of
    dead-letter topics end with. `unfit` tells of a letter that could be sent why it should not be, None if it may;
    `force` doesn't ask it.
    """

    def __init__(
        self,
        client: redis.Redis,
        key_prefix: str,
        sender: Sender | None,
        mark: Mark,
        *,
        suffix: str,
        force: bool,
        limit: int | None = None,
        unfit: Callable[[TaskId], str | None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._suffix = suffix
        self._unfit = unfit
        self._client = client
        self._prefix = key_prefix
        self._sender = sender
        self._mark = mark
        self._force = force
        self._limit = limit
        self._batch: dict[str, Replay] = {}
        self._batch_bytes = 0
        self._done: set[str] = set()

    def add(self, record: Record) -> None:
        """Take one.

        Raises:
            RedisUnavailable, KafkaUnavailable: what the tally counts as replayed was sent, and no other.
            Enough: the limit is reached.
        """
        replay = self._checked(record)
        if isinstance(replay, Unfit):
            self.tally.add(Result.UNFIT, replay.id, replay.why)
            return
        if replay.field in self._batch or replay.field in self._done:
            # A dead letter can be there twice, and force means once more, not once for each.
            self.tally.add(Result.BEFORE, replay.task_id.text)
            return
        self._batch[replay.field] = replay
        self._batch_bytes += replay.size_bytes
        if len(self._batch) >= self._room or self._batch_bytes >= BATCH_BYTES:
            self.finish()
        if self._limit is not None and self.tally.counts[Result.REPLAYED] >= self._limit:
            raise Enough

    def _checked(self, record: Record) -> Replay | Unfit:
        replay = prepared(record, self._suffix, force=self._force)
        if isinstance(replay, Replay) and not self._force and (why := self._unfit(replay.task_id)):
            return Unfit(replay.task_id.text, f"{why}; --force sends it all the same")
        return replay

    @property
    def _room(self) -> int:
        """How many a batch may hold, so that no more are replayed than asked for."""
        if self._limit is None:
            return BATCH_LETTERS
        return min(BATCH_LETTERS, max(1, self._limit - self.tally.counts[Result.REPLAYED]))

    def finish(self) -> None:
        """Replay what was taken so far.

        Raises:
            RedisUnavailable: what the tally counts as replayed was sent, and no other.
            KafkaUnavailable: it has not answered; going on would make batch after batch unclear.
        """
        batch, self._batch, self._batch_bytes = list(self._batch.values()), {}, 0
        if not batch:
            return
        if self._force or self._sender is None:
            # No mark tells of these that they have had their turn.
            self._done |= {one.field for one in batch}
        ours: list[tuple[Replay, bytes | None]] = []
        for one, taken in zip(batch, self._taken(batch), strict=True):
            if taken.other is None:
                ours.append((one, taken.before))
            else:
                self._note_other(one, taken.other)
        if self._sender is None:
            for one, _ in ours:
                self.tally.add(Result.REPLAYED, one.task_id.text)
        elif ours:
            self._send(ours, self._sender)

    def _taken(self, batch: Sequence[Replay]) -> list[Taken]:
        if self._sender is None:
            marks = [None] * len(batch) if self._force else read_marks(self._client, self._prefix, batch)
            return [Taken(mark) for mark in marks]
        try:
            return take(self._client, self._prefix, batch, self._mark, force=self._force)
        except RedisUnavailable:
            for one in batch:
                self.tally.add(Result.UNCLEAR, one.task_id.text, _UNSENT)
            raise

    def _note_other(self, one: Replay, other: Mark | Fence) -> None:
        if isinstance(other, Fence):
            why = f"was removed, or is about to be, by {other.who} at {moment_text(other.when_ms)}"
            self.tally.add(Result.PURGED, one.task_id.text, why)
            return
        if other.sent:
            self.tally.add(Result.BEFORE, one.task_id.text)
            return
        why = (
            f"was being replayed by {other.who} at {moment_text(other.when_ms)}, and whether it went out isn't known: "
            "see whether it ran, then replay it by its id with --force"
        )
        self.tally.add(Result.UNCLEAR, one.task_id.text, why)

    def _send(self, ours: Sequence[tuple[Replay, bytes | None]], sender: Sender) -> None:
        answers = list(zip(ours, sender.send([one for one, _ in ours]), strict=True))
        for (one, _), answer in answers:
            if answer.delivery is Delivery.SENT:
                self.tally.add(Result.REPLAYED, one.task_id.text)
            elif answer.delivery is Delivery.REFUSED:
                self.tally.add(Result.REFUSED, one.task_id.text, f"was refused by Kafka: {answer.error}")
            else:
                why = f"may have gone out or not ({answer.error}): see whether it ran, then replay it with --force"
                self.tally.add(Result.UNCLEAR, one.task_id.text, why)
        settle(
            self._client,
            self._prefix,
            [one for (one, _), answer in answers if answer.delivery is Delivery.SENT],
            [taken for taken, answer in answers if answer.delivery is Delivery.REFUSED],
            self._mark,
        )
        if silent := [answer for _, answer in answers if answer.delivery is Delivery.UNKNOWN]:
            raise KafkaUnavailable(f"Kafka has not answered for {len(silent)} of {len(answers)}: {silent[0].error}")
