"""Write records that no client library writes: header names that aren't UTF-8, timestamps outside of every calendar.

Kafka's own formats: a record batch of magic 2 in a Produce request of version 3 (KIP-98), sent over a socket.
"""

import socket
import struct
import time
from typing import NamedTuple

from confluent_kafka import KafkaError

_TIMEOUT_SECONDS = 15.0
_PRODUCE, _VERSION = 0, 3
#: What a broker answers about a topic that was created a moment ago.
_PASSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.NOT_LEADER_FOR_PARTITION})
_NO_PRODUCER = struct.pack(">qhi", -1, -1, -1)
_CASTAGNOLI = 0x82F63B78


class OddRecord(NamedTuple):
    """A record to write; a header's name is bytes."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    timestamp_ms: int = 0


def produce_odd(bootstrap_servers: str, topic: str, partition: int, record: OddRecord) -> int:
    """Write one record and return its offset; fails with Kafka's error code if it is refused."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        error, offset = _produced(bootstrap_servers, topic, partition, _batch(record))
        if error not in _PASSING or time.monotonic() > deadline:
            assert error == 0, f"Kafka refused the record with error code {error}"
            return offset
        time.sleep(0.05)


def _produced(bootstrap_servers: str, topic: str, partition: int, batch: bytes) -> tuple[int, int]:
    """Send a request; returns Kafka's error code and the offset."""
    body = struct.pack(">hhi", -1, -1, int(_TIMEOUT_SECONDS * 1000)) + struct.pack(">i", 1) + _text(topic)
    body += struct.pack(">iii", 1, partition, len(batch)) + batch
    request = struct.pack(">hhi", _PRODUCE, _VERSION, 1) + _text("tests") + body
    host, _, port = bootstrap_servers.rpartition(":")
    with socket.create_connection((host, int(port)), _TIMEOUT_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
    error, offset = struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    return error, offset


def _batch(record: OddRecord) -> bytes:
    # Attributes, offset and timestamp deltas; then key, value and headers with their lengths.
    content = b"\0" + _number(0) + _number(0) + _bytes(record.key) + _bytes(record.value)
    content += _number(len(record.headers))
    content += b"".join(_bytes(name) + _bytes(value) for name, value in record.headers)
    rest = struct.pack(">hiqq", 0, 0, record.timestamp_ms, record.timestamp_ms) + _NO_PRODUCER
    rest += struct.pack(">i", 1) + _number(len(content)) + content
    head = struct.pack(">ib", -1, 2) + struct.pack(">I", _crc32c(rest))
    return struct.pack(">qi", 0, len(head) + len(rest)) + head + rest


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _bytes(content: bytes | None) -> bytes:
    return _number(-1) if content is None else _number(len(content)) + content


def _number(value: int) -> bytes:
    """Kafka's varint: zigzag, seven bits a byte, the lowest first."""
    left = (value << 1) ^ (value >> 63)
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes(found) + bytes([left])


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = connection.recv(count - len(found))
        assert part, "Kafka closed the connection"
        found += part
    return found
