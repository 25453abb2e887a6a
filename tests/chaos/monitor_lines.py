"""What Valkey's MONITOR prints, read as who pushed which message into the queue. Pure.

A line is `+TIME [DATABASE CLIENT] "WORD" "WORD" ...`; inside quotes the server escapes as `sdscatrepr` does:
backslash and quote, `\\n \\r \\t \\a \\b`, and `\\xHH` for every other byte that isn't printable ASCII. What a script
does comes as lines of the client `lua`, right behind the EVALSHA or EVAL that ran it: the server does one thing at a
time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from ferry_shared.ledger.scripts import script
from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker.transport import HAND_BACK
from tests.support.queued_ids import batched_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Cause(StrEnum):
    """Who put a copy of a task into the queue."""

    DISPATCH = "dispatch"
    RETRY = "retry"
    REDELIVERY = "redelivery"
    #: A worker let go of a batch: what it had not run goes on one by one.
    SPLIT = "split"
    #: A batch's message had vanished: its messages go on one by one.
    DIVISION = "division"
    #: Nobody saw it, and its tag tells only that it left its batch: split off, divided or retried.
    LEFT_BATCH = "left its batch"
    TRANSPORT = "transport"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Push:
    """One copy entering the queue, at the server's time. `tag` is its delivery tag: ledger/task id/token.copy.

    A batch is one of these for each of its messages, all with the batch's tag.
    """

    at: float
    cause: Cause
    task_id: str
    tag: str


_PREFIX = re.compile(rb"\+(\d+\.\d+) \[\d+ ([^\]]*)\] ")
_UNACKED_CHANGE = re.compile(rb'\+(\d+\.\d+) \[\d+ [^\]]*\] "(HSET|HDEL)" "unacked" "([^"\\]*)"')
_WORD = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"\\": b"\\", b'"': b'"'}
_CAUSES = {
    "dispatch": Cause.DISPATCH,
    "enqueue": Cause.RETRY,
    "redeliver": Cause.REDELIVERY,
    "split": Cause.SPLIT,
    "divide": Cause.DIVISION,
}
_PUSHES = (b'] "LPUSH" ', b'] "RPUSH" ')
_UNACKED = (b'] "HSET" "unacked" ', b'] "HDEL" "unacked" ')
_FLUSHALL = b'] "FLUSHALL"'
_POP_OF_A_SCRIPT = b' lua] "RPOP" '
_SCRIPTS = (b'] "EVALSHA" ', b'] "EVAL" ')
#: Time, database and a client's address take fewer bytes than this.
_PREFIX_BYTES = 160


def words_of(line: bytes) -> list[bytes]:
    """The words of a command, unescaped; none if the line isn't one of MONITOR's."""
    match = _PREFIX.match(line)
    return [unescaped(word) for word in _WORD.findall(line, match.end())] if match else []


def unescaped(word: bytes) -> bytes:
    """What stood between the quotes before the server escaped it."""
    backslashes = word.count(b"\\")
    if backslashes == word.count(b'\\"'):
        # JSON with nothing else to escape, by far the most: each backslash stands before a quote.
        return word.replace(b'\\"', b'"') if backslashes else word
    return _ESCAPE.sub(_original, word)


def _original(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code[1:], 16)]) if len(code) == 3 else _ESCAPED.get(code, code)


@dataclass(frozen=True, slots=True)
class UnackedChange:
    """One copy noted in kombu's `unacked`, because a worker has it, or (`taken` false) removed from there."""

    at: float
    taken: bool
    tag: str


def unacked_change_of(line: bytes) -> UnackedChange | None:
    """Read the line with which a worker or a script changes `unacked`; None for any other."""
    if not any(mark in line[:_PREFIX_BYTES] for mark in _UNACKED):
        return None
    match = _UNACKED_CHANGE.match(line)
    return UnackedChange(float(match[1]), match[2] == b"HSET", match[3].decode()) if match else None


def emptied_at(line: bytes) -> float | None:
    """When the line's command emptied the server; None for any other command."""
    match = _PREFIX.match(line) if _FLUSHALL in line[:_PREFIX_BYTES] else None
    return float(match[1]) if match else None


class PushReader:
    """Follows one MONITOR connection from its first line, and tells each push into `queue`."""

    def __init__(self, queue: str) -> None:
        self._queue = queue.encode()
        self._digests = {script(name).digest.encode(): cause for name, cause in _CAUSES.items()}
        self._digests[_digest(HAND_BACK.encode())] = Cause.TRANSPORT
        self._running = Cause.UNKNOWN
        self._lifted = self._to_put_back = 0

    def read(self, line: bytes) -> Iterator[Push]:
        """Take the next line."""
        prefix = line[:_PREFIX_BYTES]
        if any(mark in prefix for mark in _SCRIPTS):
            self._running = self._cause_of_script(line)
            self._lifted = self._to_put_back = 0
        elif _POP_OF_A_SCRIPT in prefix:
            self._lifted += 1
        elif any(mark in prefix for mark in _PUSHES):
            yield from self._pushes(line)

    def _cause_of_script(self, line: bytes) -> Cause:
        # Of a call by digest only the beginning is looked at: a dispatch holds hundreds of messages.
        if _SCRIPTS[0] in line[:_PREFIX_BYTES]:
            first = _WORD.findall(line, 0, 2 * _PREFIX_BYTES)[1]
        else:
            first = _digest(words_of(line)[1])
        return self._digests.get(first, Cause.UNKNOWN)

    def _pushes(self, line: bytes) -> Iterator[Push]:
        prefix, words = _PREFIX.match(line), words_of(line)
        if prefix is None or len(words) < 3 or words[1] != self._queue:
            return
        by_script = prefix[2] == b"lua"
        if by_script and self._to_put_back:
            # A hand-back lifts what is older, to get behind it: these copies were there before.
            self._to_put_back -= 1
            return
        if by_script:
            self._to_put_back, self._lifted = self._lifted, 0
        cause = self._running if by_script else Cause.TRANSPORT
        for message in words[2:]:
            task_ids, tag = identity_of(orjson.loads(message))
            yield from (Push(float(prefix[1]), cause, task_id, tag) for task_id in task_ids)


def _digest(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def identity_of(message: Mapping[str, Any]) -> tuple[list[str], str]:
    """The task id of each message that a Celery message carries, and its delivery tag."""
    properties = message["properties"]
    task_id, header = properties["correlation_id"], message.get("headers", {}).get(HEADER, {})
    task_ids = list(batched_ids(task_id, header["offsets"])) if "offsets" in header else [task_id]
    return task_ids, properties["delivery_tag"]


def after_another(pushes: Sequence[Push]) -> Iterator[tuple[Push, Push]]:
    """Each copy of an id after its first, with the one that it follows.

    A dispatch follows what Ferry queued last: a copy that the transport hands back in between may be an old one, from
    before the rewind or the loss that the dispatch is due to.
    """
    before = queued = pushes[0]
    for push in pushes[1:]:
        yield (queued if push.cause is Cause.DISPATCH else before), push
        before = push
        queued = queued if push.cause is Cause.TRANSPORT else push
