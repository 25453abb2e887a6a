"""Celery's message as kombu writes it into Redis: rendered once per partition, filled per message.

`apply_async` takes about 400 µs a message, filling a template about 5. A contract test compares every field with
what Celery's own `send_task` puts on the wire (task protocol 2, kombu's virtual transport).
"""

from __future__ import annotations

import json
import re
import socket
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from ferry_shared.ledger.keys import member_span
from ferry_shared.ledger.worker_ledger import BATCH_HEADER_VERSION, HEADER, HEADER_VERSION
from ferry_shared.record import group_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ferry_shared.record import TopicPartition
    from ferry_shared.routes import Route

#: What logs and Flower show in place of the arguments: a message can be long, and private.
ARGUMENTS_SHOWN = "(<message>,)"
_EMBED = b'{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
_NUMBERS = frozenset({"retries", "copy", "timestamp_ms", "enqueued_ms", "offsets", "timestamps_ms"})
_END_OF_BODY = b"], {}, " + _EMBED + b"]"


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


@dataclass(frozen=True, slots=True)
class BatchCopy:
    """What makes the message of a batch: its entry, its token, and where its messages come from, in order."""

    member: str
    token: str
    offsets: Sequence[int]
    timestamps_ms: Sequence[int | None]
    enqueued_ms: int


class TaskTemplate:
    """The message of one route and partition under one ledger, with slots for what changes from task to task.

    A task id is `stem`, the entry's member, `suffix`.
    """

    def __init__(self, route: Route, group: str, place: TopicPartition, ledger: str) -> None:
        self.stem = f"{place.topic}-{place.partition}-"
        self.suffix = group_suffix(group)
        self._ledger = ledger
        header = {"ledger": ledger, "group": group, "topic": place.topic, "partition": place.partition}
        self._single = _Pattern(_message(route, header | _SINGLE, ignore_result=None))
        self._batch = _Pattern(_message(route, header | _BATCH, ignore_result=True))

    def task_id(self, member: str) -> str:
        """The task id of a member."""
        first, last = member_span(member)
        return f"{self.stem}{first if first == last else f'{first}..{last}'}{self.suffix}"

    def fill(self, copy: Copy, body: bytes) -> bytes:
        """Return the finished message, ready for LPUSH."""
        task_id = _json_text(f"{self.stem}{copy.member}{self.suffix}")
        return self._single.fill(
            {
                "body": b64encode(body),
                "task_id": task_id,
                "member": copy.member.encode(),
                "token": copy.token.encode(),
                "copy": b"%d" % copy.copy,
                "timestamp_ms": b"null" if copy.timestamp_ms is None else b"%d" % copy.timestamp_ms,
                "enqueued_ms": b"%d" % copy.enqueued_ms,
                "retries": b"%d" % copy.retries,
                "delivery_tag": b"%s/%s/%s.%d" % (self._ledger.encode(), task_id, copy.token.encode(), copy.copy),
            }
        )

    def fill_batch(self, copy: BatchCopy, body: bytes) -> bytes:
        """Return the finished message of several records, ready for LPUSH; there is only a first copy of it."""
        token, in_tag = copy.token.encode(), _json_text(f"{self.stem}{copy.member}{self.suffix}")
        return self._batch.fill(
            {
                "body": b64encode(body),
                "task_id": _json_text(self.task_id(copy.member)),
                "member": copy.member.encode(),
                "token": token,
                "copy": b"1",
                "offsets": orjson.dumps(copy.offsets),
                "timestamps_ms": orjson.dumps(copy.timestamps_ms),
                "enqueued_ms": b"%d" % copy.enqueued_ms,
                "retries": b"0",
                "delivery_tag": b"%s/%s/%s.1" % (self._ledger.encode(), in_tag, token),
            }
        )


def _json_text(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def _message(route: Route, header: Mapping[str, Any], *, ignore_result: bool | None) -> dict[str, Any]:
    """The whole message; `Slot` objects stand for what is filled in. The body comes last: scripts look for a header."""
    task_id = Slot("task_id")
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
            "delivery_tag": Slot("delivery_tag"),
        },
        "body": Slot("body"),
    }


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the message that is filled per task."""

    name: str


_COPY = {"member": Slot("member"), "token": Slot("token"), "copy": Slot("copy"), "enqueued_ms": Slot("enqueued_ms")}
_SINGLE = {"v": HEADER_VERSION, **_COPY, "timestamp_ms": Slot("timestamp_ms")}
#: A batch's results are stored under the ids of its messages, never under its own.
_BATCH = {
    "v": BATCH_HEADER_VERSION, **_COPY, "offsets": Slot("offsets"), "timestamps_ms": Slot("timestamps_ms")
}  # fmt: skip


class _Pattern:
    """A message as a bytes pattern for `%`, and the names of its slots in order."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        mark = uuid4().hex  # can't occur in a group's or queue's name by accident

        def marked(slot: Slot) -> str:
            return f"{mark}{slot.name}{mark}"

        text = json.dumps(message, default=marked).replace("%", "%%")
        self._slots = re.findall(f"{mark}(.*?){mark}", text)
        for name in set(self._slots):
            marker = f"{mark}{name}{mark}"
            text = text.replace(f'"{marker}"' if name in _NUMBERS else marker, "%b")
        self._pattern = text.encode()

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """Return the message."""
        return self._pattern % tuple([values[slot] for slot in self._slots])
