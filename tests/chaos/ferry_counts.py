"""What Ferry itself counts of queueings that were not the first: its log lines, `ferry status --json`, `/metrics`.

Nothing is judged by this alone: it is compared with what MONITOR saw.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.chaos.effects import Part
from tests.chaos.log_lines import json_lines, seconds_of
from tests.support.http_get import http_get

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.chaos.system import System

#: The consumer's lines, one for each id that it queues again, and the counter that rises with each.
SENTENCES = {
    "retried": "its retry is due: queued again",
    "redelivered": "its message had vanished from the queue: queued again",
}
#: The line about a batch, with the number of its messages that it queues again.
DIVIDED = re.compile(r"its message had vanished from the queue: (\d+) of its messages are queued one by one")
STATUS_FILE = "ferry-status.json"
_STATUS_SECONDS = 60.0
#: Somebody is at work on every partition, or not.
_ANSWERED = (0, 1)


@dataclass(frozen=True, slots=True)
class CountedLine:
    """A consumer's line about one id: it was `retried` or `redelivered`; `log` is the file of its process.

    Of a batch, so many of its `messages` were.
    """

    at: float
    counter: str
    task_id: str
    log: str
    messages: int = 1


@dataclass(frozen=True, slots=True)
class Takeover:
    """A consumer's line: it took a partition up at `offset`, and `rewound` offsets from there on come again."""

    at: float
    partition: int
    offset: int
    rewound: int
    log: str


@dataclass(frozen=True, slots=True)
class ProcessCount:
    """A consumer that lived until the end: a counter of its `/metrics`, and what the lines of its log add up to."""

    log: str
    counter: str
    shown: int
    lines: int


@dataclass(frozen=True, slots=True)
class LedgerCount:
    """One partition in `ferry status --json`: copies handed back by the transport, offsets dispatched again."""

    restored: int
    rewound: int


@dataclass(frozen=True, slots=True)
class FerryCounts:
    """All of it; `ledgers` by partition, empty if `ferry status` gave no answer."""

    lines: Sequence[CountedLine]
    takeovers: Sequence[Takeover]
    processes: Sequence[ProcessCount]
    ledgers: Mapping[int, LedgerCount]


def ferry_counts(system: System) -> FerryCounts:
    """Ask and read; while Ferry still runs, and once it has drained. What `ferry status` said is kept in a file."""
    logs = [path for service in system.consumers for path in service.logs]
    lines = [line for path in logs for line in read_counted_lines(path.name, _json_lines(path))]
    takeovers = [line for path in logs for line in read_takeovers(path.name, _json_lines(path))]
    processes = [
        ProcessCount(
            service.logs[-1].name,
            counter,
            shown_in(http_get(system.consumer_ports[service.name], "/metrics")[1], counter),
            sum(line.messages for line in lines if line.log == service.logs[-1].name and line.counter == counter),
        )
        for service in system.keeper.services.values()
        if service.part is Part.CONSUMER and service.running
        for counter in SENTENCES
    ]
    return FerryCounts(lines, takeovers, processes, _ledgers(system))


def shown_in(metrics: str, counter: str) -> int:
    """The sum of a counter over all topics, in Prometheus' text; -1 if there is no such counter at all."""
    if f"# TYPE ferry_{counter}_total counter" not in metrics:
        return -1
    values = re.findall(rf"^ferry_{counter}_total\{{[^}}]*}} (\S+)$", metrics, re.MULTILINE)
    return int(sum(map(float, values)))


def read_counted_lines(log: str, lines: Iterable[Mapping[str, Any]]) -> Iterator[CountedLine]:
    """Read, from a consumer's JSON log, which ids it queued again, and by which counter."""
    for line in lines:
        for counter, sentence in SENTENCES.items():
            if line.get("message") == sentence:
                yield CountedLine(seconds_of(line), counter, line["task_id"], log)
        if divided := DIVIDED.match(line.get("message", "")):
            yield CountedLine(seconds_of(line), "redelivered", line["task_id"], log, int(divided[1]))


def read_takeovers(log: str, lines: Iterable[Mapping[str, Any]]) -> Iterator[Takeover]:
    """Read, from a consumer's JSON log, where it took partitions up, and how many offsets it dispatches again."""
    for line in lines:
        if "rewound" in line and "offset" in line:
            yield Takeover(seconds_of(line), line["partition"], line["offset"], line["rewound"], log)


def read_status(text: str) -> dict[int, LedgerCount]:
    """Read what `ferry status --json` prints."""
    return {
        partition["partition"]: LedgerCount(partition["restored"], partition["rewound"])
        for partition in orjson.loads(text)["partitions"]
    }


def _ledgers(system: System) -> dict[int, LedgerCount]:
    done = subprocess.run(
        [sys.executable, "-m", "ferry_console", "status", "--json"],
        env=system.environment,
        cwd=system.directory,
        capture_output=True,
        timeout=_STATUS_SECONDS,
        text=True,
        check=False,
    )
    (system.directory / STATUS_FILE).write_text(done.stdout + done.stderr)
    return read_status(done.stdout) if done.returncode in _ANSWERED else {}


def _json_lines(log: Path) -> Iterator[Mapping[str, Any]]:
    with log.open(errors="replace") as file:
        yield from json_lines(file)
