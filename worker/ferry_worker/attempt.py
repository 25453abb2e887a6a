"""One attempt to run a task: what this worker asks of the ledger, and what it records."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from redis.exceptions import RedisError

from ferry_shared.errors import FerryError, RedisUnavailable
from ferry_shared.ledger.worker_ledger import HEADER, Claimed, Recorded, TaskHeader, Verdict, WorkerLedger
from ferry_shared.record import Origin
from ferry_worker.ledger_access import Answer, patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferry_shared.ledger.singles import Single
    from ferry_worker.tracking import Tracking

log = logging.getLogger("ferry.worker")

#: The request's field with the owner: a random id, made by the parent at each receipt.
OWNER_FIELD = "ferry_owner"
#: The request's field with the hard and the soft time limit (s, or None) as the message came with them.
SENT_LIMITS_FIELD = "ferry_sent_limits"
#: Before a message goes back to the queue, so that it doesn't circle as fast as Redis can.
HAND_BACK_DELAY_SECONDS = 1.0
MAX_ERROR_CHARACTERS = 2_000

NOT_RUN = {
    Verdict.GONE: "it is done, failed or cleared already",
    Verdict.BUSY: "another worker is running it",
    Verdict.STALE: "a later copy or attempt stands for it",
    Verdict.NO_LEDGER: "its ledger is gone, the consumer dispatches it again",
}
NOT_RECORDED = {
    Recorded.GONE: "somebody else ended it",
    Recorded.STALE: "a later attempt stands for it",
    Recorded.NOT_OWNER: "the claim has passed to another worker",
    Recorded.NO_LEDGER: "its ledger is gone, the consumer dispatches it again",
}

#: Groups of which this process has seen a ledger: only then does a missing one mean that Redis lost it.
_seen_groups: set[str] = set()

ReplyT = TypeVar("ReplyT")


class Poison(FerryError):
    """A task that was started too often and never ended. It becomes a dead letter."""


class HandedBack(FerryError):
    """The task can't be run or recorded now: its message goes back to the queue."""


@dataclass(slots=True)
class Attempt:
    """A task message in the hands of one owner. `recorded` once an outcome was accepted or overtaken."""

    header: TaskHeader
    owner: str
    ledger: WorkerLedger
    max_claims: int
    wait_seconds: float
    recorded: bool = False

    @classmethod
    def of(cls, fields: Any, owner: str, tracking: Tracking) -> Attempt:
        """Read the `ferry` header.

        Raises:
            HandedBack: another version of Ferry wrote it; a worker of that version has to run it.
        """
        settings = tracking.settings
        try:
            header = TaskHeader.of(fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise handed_back(f"the header {HEADER!r} can't be read: {error!r}") from error
        return cls(header, owner, tracking.pool_ledger, settings.worker_max_claims, settings.worker_redis_wait_seconds)

    @property
    def origin(self) -> Origin:
        """Where the message comes from, for the model that is built from it."""
        return Origin(self.header.task_id, self.header.timestamp_ms)

    @property
    def timestamp_ms(self) -> int | None:
        """The record's."""
        return self.header.timestamp_ms

    def claim(self, lease_ms: int, payload: bytes, *, restored: bool) -> Claimed:
        """Return when the task is to be run: how often it was claimed, and of a batch how far it is.

        Raises:
            Ignore: it is not, and its message has served.
            Poison: it is not, and has failed: for its result, too.
            HandedBack: that can't be told now.
        """

        def ask() -> Claimed:
            return self.ledger.claim(
                self.header, self.owner, lease_ms=lease_ms, max_claims=self.max_claims, restored=restored
            )

        claimed = self._answer("its claim", ask).reply
        if claimed.verdict is not Verdict.NO_LEDGER:
            _seen_groups.add(self.header.group)
        match claimed.verdict:
            case Verdict.RUN:
                return claimed
            case Verdict.POISON:
                error = f"poison: started {claimed.claims - 1} times and never ended"
                log.error("not run: %s; it becomes a dead letter", error)
                self.fail(error, payload)
                raise Poison(error)
            case Verdict.NO_LEDGER if self.header.group not in _seen_groups:
                raise handed_back(
                    f"the Redis that FERRY_LEDGER_URL names has no ledger of group {self.header.group} for "
                    f"{self.header.topic}; is it the consumer's?"
                )
            case verdict:
                log.info("not run: %s", NOT_RUN[verdict])
        raise Ignore

    def done(self) -> None:
        """Record that it ran."""
        self._record("its end", lambda: self.ledger.done(self.header, self.owner))

    def fail(self, error: str, payload: bytes) -> None:
        """Record that it failed for good."""
        self._record("its failure", lambda: self.ledger.fail(self.header, self.owner, error, payload))

    def retry(self, delay_ms: int, message: bytes) -> None:
        """Record that it is to run again after `delay_ms`."""
        self._record("its retry", lambda: self.ledger.retry(self.header, self.owner, delay_ms, message))

    def progress(self, done_up_to: int | None, singles: Sequence[Single]) -> Recorded:
        """Record up to which offset a batch has run; None: it has run."""

        def tell() -> Recorded:
            return self.ledger.progress(self.header, self.owner, done_up_to, singles)

        return self._record("its progress", tell, ends=done_up_to is None)

    def split(self, queue: str, priority: int, singles: Sequence[Single]) -> None:
        """Record that a batch has ended, and that these of its messages go on."""
        self._record("its split", lambda: self.ledger.split(self.header, self.owner, queue, priority, singles))

    def now_ms(self) -> int:
        """The time of the ledger's server, in ms since 1970. Raises HandedBack when it gives no answer."""
        return self._answer("the question for the time", self.ledger.now_ms).reply

    def _record(self, what: str, call: Callable[[], Recorded], *, ends: bool = True) -> Recorded:
        """`ends`: the call ends this attempt, so that a second one finds it gone or stale by the first."""
        try:
            answer = self._answer(what, call)
        except SoftTimeLimitExceeded:
            # The limit struck after the task's own end. It comes once, so the second call is left alone.
            answer = Answer(self._answer(what, call).reply, repeated=True)
        self.recorded = True
        overtaken = ends and answer.repeated and answer.reply in {Recorded.GONE, Recorded.STALE}
        if answer.reply is not Recorded.RECORDED and not overtaken:
            log.warning("%s was not recorded: %s", what, NOT_RECORDED[answer.reply])
        return Recorded.RECORDED if overtaken else answer.reply

    def _answer(self, what: str, call: Callable[[], ReplyT]) -> Answer[ReplyT]:
        try:
            return patiently(call, self.wait_seconds)
        except (RedisUnavailable, RedisError) as error:
            raise handed_back(f"no answer from the ledger to {what}: {error}") from error


def handed_back(problem: str) -> HandedBack:
    """Log the problem, pause, and return what to raise, so that the message goes back to the queue."""
    log.error("the message goes back to the queue: %s", problem)
    time.sleep(HAND_BACK_DELAY_SECONDS)
    return HandedBack(problem)


def payload_bytes(payload: Any) -> bytes:
    """Return what `fail` stores of a message's payload."""
    return payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else b""


def error_text(error: BaseException) -> str:
    """Name an error as a dead letter tells it: `ValueError: text`."""
    if isinstance(error, Reject) and isinstance(error.reason, Exception):
        return error_text(error.reason)
    try:
        text = str(error.reason or "") if isinstance(error, Reject) else str(error)
    except Exception as unprintable:  # noqa: BLE001 - a user's exception: its __str__ can raise anything
        text = f"(its text can't be read: {type(unprintable).__name__})"
    name = type(error).__name__
    line = name if text in {"", f"{name}()"} else f"{name}: {text}"
    return line[:MAX_ERROR_CHARACTERS].encode("utf-8", "backslashreplace").decode()
