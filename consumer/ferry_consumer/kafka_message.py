"""A record as Kafka's client hands it over."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

from ferry_shared.record import Record

if TYPE_CHECKING:
    from confluent_kafka import Message

Headers = tuple[tuple[str, bytes | None], ...]

#: Stands for the headers of a record that can't be read.
UNREADABLE_HEADERS = "ferry.headers-unreadable"
#: For a name that is no UTF-8 `Message.headers` leaves an exception behind and returns a list with holes. Where the
#: interpreter takes its fast path for calls, that list is read, and the process crashes; this call always raises.
_read_headers = operator.methodcaller("headers")


def timestamp_ms(message: Message) -> int | None:
    """The record's timestamp, None when it has none."""
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds


def bytes_beside_value(message: Message, headers: Headers) -> int:
    """How large its key and its headers are."""
    return len(message.key() or b"") + sum(len(name) + len(value or b"") for name, value in headers)


def record_of(message: Message, headers: Headers | None = None) -> Record:
    """Keep a record whole, for its dead letter; `headers` are those that were read of it before."""
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp_ms(message),
        message.key(),
        message.value(),
        headers_of(message) if headers is None else headers,
    )


def headers_of(message: Message) -> Headers:
    """The record's headers, in order; a name can occur more than once.

    To be called once a message: of unreadable headers the client keeps what a second call would crash in.
    """
    try:
        headers = _read_headers(message)
    except (SystemError, UnicodeDecodeError):
        # confluent_kafka can't read a name that is no UTF-8; the record must not stop the service over it.
        return ((UNREADABLE_HEADERS, b"a header's name is no UTF-8"),)
    if not headers:
        return ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)
