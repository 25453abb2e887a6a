"""The files of a run read into evidence: the task's executions, the observer's notes, the consumers' logs. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.chaos.evidence import Acquisition, Execution, LetterLine, RedeliveryLine
from tests.chaos.log_lines import json_lines, seconds_of
from tests.chaos.monitor_lines import Cause, Push, first_cause
from tests.chaos.observer import ATTACHED, DETACHED, EMPTIED, FOUND, PUSHED

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTED = "started"
_DEAD_LETTER = "dead letter: "
_REDELIVERED = "queued again"


def read_executions(lines: Iterable[str]) -> list[Execution]:
    """Read the task's file."""
    running: dict[tuple[str, str], Execution] = {}
    over: list[Execution] = []
    for line in lines:
        what, at, task_id, tag, serial, pid, worker = line.rstrip("\n").split("\t")
        before = running.pop((tag, pid), None)
        if what == STARTED:
            if before is not None:
                over.append(before)
            running[tag, pid] = Execution(task_id, tag, int(serial), int(pid), int(worker), float(at))
        elif before is None:
            raise ValueError(f"an execution ended that had not started: {line!r}")
        else:
            over.append(replace(before, ended=float(at), how=what))
    return sorted([*over, *running.values()], key=lambda execution: execution.started)


def read_pushes(lines: Iterable[str]) -> list[Push]:
    """Read what the observer saw entering the queue, and what it found there that it had not seen."""
    pushes: list[Push] = []
    seen: set[str] = set()
    ended = 0.0
    for line in lines:
        what, *fields = line.rstrip("\n").split("\t")
        if what == PUSHED:
            at, cause, task_id, tag = fields
            pushes.append(Push(float(at), Cause(cause), task_id, tag))
            seen.add(tag)
        elif what == FOUND and fields[2] not in seen:
            _, task_id, tag, _ = fields
            pushes.append(Push(ended, first_cause(tag), task_id, tag))
            seen.add(tag)
        elif what == DETACHED:
            ended = float(fields[0])
    return pushes


def repeated_ids(pushes: Iterable[Push], executions: Iterable[Execution]) -> set[str]:
    """The tasks that were queued more than once, or of which a copy was executed that nobody saw queued."""
    counts = Counter(push.task_id for push in pushes)
    seen = {push.tag for push in pushes}
    unseen = {run.task_id for run in executions if run.tag not in seen}
    return unseen | {task_id for task_id, count in counts.items() if count > 1}


def read_losses(lines: Iterable[str]) -> list[float]:
    """When the server had been emptied, or started with what it had on disk."""
    return [float(line.split("\t")[1]) for line in lines if line.startswith((ATTACHED, EMPTIED))]


def read_attachments(lines: Iterable[str]) -> list[str]:
    """The run ids of the servers that the observer was attached to, in order."""
    return [line.split()[2] for line in lines if line.startswith(ATTACHED)]


def read_acquisitions(lines: Iterable[str]) -> list[Acquisition]:
    """Read, from a consumer's JSON log, where it took partitions up and why."""
    return [
        Acquisition(seconds_of(line), line["partition"], line["offset"], line["reason"])
        for line in json_lines(lines)
        if "reason" in line and "offset" in line and "partition" in line
    ]


def read_redeliveries(lines: Iterable[str]) -> list[RedeliveryLine]:
    """Read, from a consumer's JSON log, which tasks it queued again because their message had vanished."""
    return [
        RedeliveryLine(seconds_of(line), line["task_id"])
        for line in json_lines(lines)
        if _REDELIVERED in line["message"] and line.get("task_id", "-") != "-"
    ]


def read_letter_lines(lines: Iterable[str], pid: int) -> list[LetterLine]:
    """Read, from the JSON log of the consumer with that process, of which tasks it wrote dead letters."""
    return [
        LetterLine(seconds_of(line), line["task_id"], pid)
        for line in json_lines(lines)
        if line["message"].startswith(_DEAD_LETTER)
    ]
