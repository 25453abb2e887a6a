"""A dead letter that its topic doesn't take: the record's large parts are left out, and said to be."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferry_shared.record import Record

#: A value, a key, or all headers together of more than this are left out.
LARGE_PART_BYTES = 1_024


def without_large_parts(record: Record) -> tuple[Record, dict[str, str]]:
    """Return the record without its large parts, and headers that say what they were: `5001 bytes, sha256 …`."""
    omitted: dict[str, str] = {}
    changes: dict[str, object] = {}
    for part in ("value", "key"):
        content: bytes | None = getattr(record, part)
        if content is not None and len(content) > LARGE_PART_BYTES:
            changes[part] = None
            omitted[f"ferry.{part}-omitted"] = f"{len(content)} bytes, sha256 {sha256(content).hexdigest()}"
    headers_bytes = record.size_bytes - len(record.key or b"") - len(record.value or b"")
    if headers_bytes > LARGE_PART_BYTES:
        changes["headers"] = ()
        omitted["ferry.headers-omitted"] = f"{headers_bytes} bytes in {len(record.headers)} headers"
    return replace(record, **changes), omitted  # type: ignore[arg-type]
