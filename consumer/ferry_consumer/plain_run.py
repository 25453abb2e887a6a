"""Ordinary records, taken many at a time: a step over all of them costs a fraction of all steps over each."""

from __future__ import annotations

from operator import lt
from typing import TYPE_CHECKING, NamedTuple

import orjson
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from ferry_consumer.kafka_message import Headers
    from ferry_shared.validation import MessageAdapter

#: A call is cut between runs, so a run stays far below what a call may hold.
MAX_RUN_MESSAGES = 100
MAX_RUN_BYTES = 256 * 1024


class PlainRun(NamedTuple):
    """Valid records in a row, by what becomes of them; `beside` are the bytes of each one's key."""

    offsets: Sequence[int]
    timestamps_ms: Sequence[int | None]
    values: Sequence[bytes]
    beside: Sequence[int]


def plain_run(
    messages: Sequence[Message], headers: Sequence[Headers], adapter: MessageAdapter, max_record_bytes: int
) -> PlainRun:
    """Return those at the beginning that are plain: no error, no header, valid. The first other one is judged alone.

    What is valid here is what `decode.checked` accepts.
    """
    values = _plain_values(messages, headers, adapter, max_record_bytes)
    plain = messages[: len(values)]
    offsets = [message.offset() or 0 for message in plain]
    if not all(map(lt, offsets, offsets[1:])):
        # What was sought again comes twice: each is judged by itself, and the second one passed over.
        return PlainRun([], [], [], [])
    times = [message.timestamp() for message in plain]
    return PlainRun(
        offsets,
        [None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds for kind, milliseconds in times],
        values,
        [len(message.key() or b"") for message in plain],
    )


def _plain_values(
    messages: Sequence[Message], headers: Sequence[Headers], adapter: MessageAdapter, max_record_bytes: int
) -> list[bytes]:
    values: list[bytes] = []
    parse, validate, left = orjson.loads, adapter.validate_json, MAX_RUN_BYTES
    for message, header in zip(messages, headers, strict=True):
        value = message.value()
        if header or not value or message.error() is not None or len(value) > max_record_bytes:
            break
        try:
            parse(value)
            validate(value)
        except Exception:  # noqa: BLE001 - a user's validator: what came out is told when it is judged alone
            break
        values.append(value)
        left -= len(value)
        if left <= 0:
            break
    return values
