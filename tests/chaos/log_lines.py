"""The lines of a service's JSON log."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def json_lines(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """What isn't whole JSON was cut by a kill, or comes from Python itself."""
    for line in lines:
        if line.startswith("{"):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                continue


def seconds_of(line: Mapping[str, Any]) -> float:
    """When it was written, since 1970."""
    return datetime.fromisoformat(line["time"]).timestamp()
