"""Dead letters for the tests of `ferry dead-letters`: of `orders-3-42@blue`, as the consumer writes them."""

from dataclasses import replace
from typing import Any

from ferry_consumer.dead_letters import DeadLetter, headers
from ferry_shared.record import Record

NOW_MS = 1_700_000_000_000
RECORD = Record("orders", 3, 42, NOW_MS - 9_000, b"key", b'{"number": 1}', (("trace", b"\xff"), ("none", None)))
ERROR = "ValueError: no such order: 1"


def written(
    record: Record = RECORD,
    *,
    offset: int = 17,
    written_ms: int | None = NOW_MS - 1_000,
    group: str = "blue",
    **of: Any,
) -> Record:
    """The record in the dead-letter topic that the consumer makes of an entry."""
    entry: dict[str, Any] = {
        "place": record.topic_partition, "member": "42", "token": "1.1", "task_id": "orders-3-42@blue",
        "error": ERROR, "deliveries": 2, "record": record,
    }  # fmt: skip
    letter = DeadLetter(**(entry | of))
    pairs = tuple((name, value.encode() if isinstance(value, str) else value) for name, value in headers(letter, group))
    return replace(
        letter.record, topic="orders.dlq", partition=0, offset=offset, timestamp_ms=written_ms, headers=pairs
    )
