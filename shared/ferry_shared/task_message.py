"""Celery's message as kombu writes it into Redis: rendered once per partition, filled per message.

`apply_async` takes about 400 µs a message, filling a template about 2. A contract test compares every field with
what Celery's own `send_task` puts on the wire (task protocol 2, kombu's virtual transport).
"""

from __future__ import annotations

import json
import re
import socket
from binascii import b2a_base64
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from ferry_shared.ledger.keys import member_span
from ferry_shared.ledger.worker_ledger import BATCH_HEADER_VERSION, HEADER, HEADER_VERSION
from ferry_shared.record import group_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ferry_shared.record import TopicPartition
    from ferry_shared.routes import Route

#: What logs and Flower show in place of the arguments: a message can be long, and private.
ARGUMENTS_SHOWN = "(<message>,)"
_EMBED = b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}'
_NUMBERS = frozenset({"retries", "copy", "timestamp_ms", "enqueued_ms", "offsets", "timestamps_ms"})
_END_OF_BODY = b"],{}," + _EMBED + b"]"


def body_of(payload: bytes) -> bytes:
    """The task's arguments: the payload as one JSON text, so that kombu can't interpret what is inside."""
    return b"[[" + orjson.dumps(payload.decode()) + _END_OF_BODY


def body_of_batch(payloads: Iterable[bytes]) -> bytes:
    """The arguments of a batch: a list of such texts."""
    return b"[[" + orjson.dumps([payload.decode() for payload in payloads]) + _END_OF_BODY


@dataclass(frozen=True, slots=True)
class Copy:
    """What makes one message of a task: its entry, its token, and how often it was queued under that token."""

    member: str
    token: str
    copy: int
    timestamp_ms: int | None
    enqueued_ms: int
    retries: int = 0


class TaskTemplate:
    """The message of one route and partition under one ledger, with slots for what changes from task to task.

    A task id is `stem`, the entry's member, `suffix`.
    """

    def __init__(self, route: Route, group: str, place: TopicPartition, ledger: str) -> None:
        self.stem = f"{place.topic}-{place.partition}-"
        self.suffix = group_suffix(group)
        header = {"ledger": ledger, "group": group, "topic": place.topic, "partition": place.partition}
        task = (f"{ledger}/{self.stem}", Slot("member"), f"{self.suffix}/")
        tag = Text((*task, Slot("token"), ".", Slot("copy")))
        single_id, batch_id = (Text((self.stem, Slot(name), self.suffix)) for name in ("member", "span"))
        self._single = _Pattern.of(_message(route, header | _SINGLE, single_id, tag, ignore_result=None))
        self._batch = _Pattern.of(_message(route, header | _BATCH, batch_id, tag, ignore_result=True))

    def task_id(self, member: str) -> str:
        """The task id of a member."""
        return f"{self.stem}{_span(member)}{self.suffix}"

    def fill(self, copy: Copy, body: bytes) -> bytes:
        """Return the finished message, ready for LPUSH."""
        values = {**_copy_values(copy.token, copy.copy, copy.enqueued_ms), "retries": b"%d" % copy.retries}
        return self._single.with_values(values).filler(*_SINGLE_SLOTS)(
            copy.member.encode(), _milliseconds(copy.timestamp_ms), _base64(body)
        )

    def first_copies(self, token: str, enqueued_ms: int) -> FirstCopies:
        """Prepare the messages of many records that are queued for the first time, all at once."""
        values = {**_copy_values(token, 1, enqueued_ms), "retries": b"0"}
        return FirstCopies(
            self._single.with_values(values).filler(*_SINGLE_SLOTS),
            self._batch.with_values(values).filler(*_BATCH_SLOTS),
        )


@dataclass(frozen=True, slots=True)
class FirstCopies:
    """Makes messages of which only record and payload differ."""

    _single: Callable[..., bytes]
    _batch: Callable[..., bytes]

    def single(self, member: str, timestamp_ms: int | None, payload: bytes) -> bytes:
        """The message of one record, ready for LPUSH."""
        return self._single(member.encode(), _milliseconds(timestamp_ms), _base64(body_of(payload)))

    def batch(
        self, member: str, offsets: Sequence[int], timestamps_ms: Sequence[int | None], payloads: Sequence[bytes]
    ) -> bytes:
        """The message of several records, ready for LPUSH."""
        body = _base64(body_of_batch(payloads))
        times = orjson.dumps(timestamps_ms)
        return self._batch(member.encode(), _span(member).encode(), orjson.dumps(offsets), times, body)


_SINGLE_SLOTS = ("member", "timestamp_ms", "body")
_BATCH_SLOTS = ("member", "span", "offsets", "timestamps_ms", "body")


def _span(member: str) -> str:
    first, last = member_span(member)
    return str(first) if first == last else f"{first}..{last}"


def _copy_values(token: str, copy: int, enqueued_ms: int) -> dict[str, bytes]:
    return {"token": token.encode(), "copy": b"%d" % copy, "enqueued_ms": b"%d" % enqueued_ms}


def _milliseconds(timestamp_ms: int | None) -> bytes:
    return b"null" if timestamp_ms is None else b"%d" % timestamp_ms


def _base64(body: bytes) -> bytes:
    return b2a_base64(body, newline=False)


def _message(
    route: Route, header: Mapping[str, Any], task_id: Text, delivery_tag: Text, *, ignore_result: bool | None
) -> dict[str, Any]:
    """The whole message; `Slot` objects stand for what is filled in. The body comes last: scripts look for a header."""
    return {
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": route.task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": Slot("retries"),
            "timelimit": [route.time_limit_seconds, route.soft_time_limit_seconds],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": ARGUMENTS_SHOWN,
            "kwargsrepr": "{}",
            "origin": f"ferry@{socket.gethostname()}",
            "ignore_result": ignore_result,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            HEADER: header,
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": route.queue},
            "priority": route.priority,
            "body_encoding": "base64",
            "delivery_tag": delivery_tag,
        },
        "body": Slot("body"),
    }


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the message that is filled per task."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text with slots in it."""

    parts: Sequence[str | Slot]


_COPY = {"member": Slot("member"), "token": Slot("token"), "copy": Slot("copy"), "enqueued_ms": Slot("enqueued_ms")}
_SINGLE = {"v": HEADER_VERSION, **_COPY, "timestamp_ms": Slot("timestamp_ms")}
#: A batch's results are stored under the ids of its messages, never under its own.
_BATCH = {
    "v": BATCH_HEADER_VERSION, **_COPY, "offsets": Slot("offsets"), "timestamps_ms": Slot("timestamps_ms")
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A message as a bytes pattern for `%`, and the names of its slots in order."""

    pattern: bytes
    slots: Sequence[str]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> _Pattern:
        """Render the message."""
        mark = uuid4().hex  # can't occur in a group's or queue's name by accident

        def marked(part: str | Slot | Text) -> str:
            if isinstance(part, Text):
                return "".join(map(marked, part.parts))
            return f"{mark}{part.name}{mark}" if isinstance(part, Slot) else part

        text = json.dumps(message, default=marked, separators=(",", ":")).replace("%", "%%")
        slots = re.findall(f"{mark}(.*?){mark}", text)
        for name in set(slots):
            marker = f"{mark}{name}{mark}"
            if name in _NUMBERS:
                text = text.replace(f'"{marker}"', "%b")
            text = text.replace(marker, "%b")
        return cls(text.encode(), slots)

    def with_values(self, values: Mapping[str, bytes]) -> _Pattern:
        """Fill those slots; the others stay."""
        filled = self.pattern.replace(b"%%", b"%%%%") % tuple(
            values[slot].replace(b"%", b"%%") if slot in values else b"%b" for slot in self.slots
        )
        return _Pattern(filled, [slot for slot in self.slots if slot not in values])

    def filler(self, *names: str) -> Callable[..., bytes]:
        """Return what makes the message of the values of its slots, in the order of `names`."""
        pattern, in_place = self.pattern, itemgetter(*[names.index(slot) for slot in self.slots])

        def fill(*values: bytes) -> bytes:
            filled: bytes = pattern % in_place(values)
            return filled

        return fill
