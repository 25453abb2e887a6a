"""What the worker's log says about a message that it printed, in the plain and in the JSON form."""

import json
import re

from ferry_console.demo.account import Printed

_LOGGER = "ferry.worker"
# 2026-01-31 12:00:00.123 INFO    ferry.worker [messages-0-42] hello (12 ms)
_PLAIN = re.compile(
    rf"\S+ \S+ INFO +{re.escape(_LOGGER)} \[(?P<task_id>[^\]\s]+)\] (?P<text>.*) \((?P<latency_ms>-?\d+) ms\)"
)


def printed(line: str) -> Printed | None:
    """The message that this line of the worker's log prints, None if it is another kind of line."""
    if line.startswith("{"):
        return _of_json(line)
    match = _PLAIN.fullmatch(line)
    if match is None:
        return None
    return Printed(match["task_id"], match["text"], float(match["latency_ms"]))


def _of_json(line: str) -> Printed | None:
    try:
        fields = json.loads(line)
        if fields["logger"] != _LOGGER:
            return None
        return Printed(str(fields["task_id"]), str(fields["text"]), float(fields["latency_ms"]))
    except (ValueError, KeyError, TypeError):
        return None
