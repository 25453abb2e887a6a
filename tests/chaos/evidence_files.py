"""The files of a run read into evidence: the task's executions, the observer's notes, the consumers' logs. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.chaos.evidence import Acquisition, Execution, LetterLine, RedeliveryLine
from tests.chaos.log_lines import json_lines, seconds_of
from tests.chaos.monitor_lines import Cause, Push
from tests.chaos.observer import ATTACHED, DETACHED, EMPTIED, FOUND, PUSHED
from tests.chaos.tags import first_cause, is_batch, task_in
from tests.support.queued_ids import all_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STARTED = "started"
_DEAD_LETTER = "dead letter: "
_REDELIVERED = "queued again"
_DIVIDED = "of its messages are queued one by one"


def read_executions(lines: Iterable[str]) -> list[Execution]:
    """Read the task's file."""
    running: dict[tuple[str, str, str], Execution] = {}
    over: list[Execution] = []
    for line in lines:
        what, at, task_id, tag, serial, pid, worker = line.rstrip("\n").split("\t")
        before = running.pop((task_id, tag, pid), None)
        if what == STARTED:
            if before is not None:
                over.append(before)
            running[task_id, tag, pid] = Execution(task_id, tag, int(serial), int(pid), int(worker), float(at))
        elif before is None:
            raise ValueError(f"an execution ended that had not started: {line!r}")
        else:
            over.append(replace(before, ended=float(at), how=what))
    return sorted([*over, *running.values()], key=lambda execution: execution.started)


def read_pushes(lines: Iterable[str]) -> list[Push]:
    """Read what the observer saw entering the queue, and what it found there that it had not seen."""
    pushes: list[Push] = []
    seen: set[str] = set()
    batched: set[str] = set()
    ended = 0.0
    for line in lines:
        what, *fields = line.rstrip("\n").split("\t")
        if what == PUSHED:
            at, cause, ids, tag = fields
            task_ids = ids.split(",")
            pushes += [Push(float(at), Cause(cause), task_id, tag) for task_id in task_ids]
        elif what == FOUND and fields[2] not in seen:
            _, ids, tag, _ = fields
            task_ids = ids.split(",")
            found = first_cause(tag, left_batch=ids in batched)
            pushes += [Push(ended, found, task_id, tag) for task_id in task_ids]
        else:
            ended = float(fields[0]) if what == DETACHED else ended
            continue
        seen.add(tag)
        if is_batch(tag):
            batched.update(task_ids)
    return pushes


def repeated_tasks(pushes: Sequence[Push], executions: Iterable[Execution]) -> set[str]:
    """Those that were queued more than once, or of which a copy was executed that nobody saw queued.

    With the batches that held them, as delivery tags name them.
    """
    counts = Counter(push.task_id for push in pushes)
    seen = {push.tag for push in pushes}
    unseen = [run for run in executions if run.tag not in seen]
    ids = {run.task_id for run in unseen} | {task_id for task_id, count in counts.items() if count > 1}
    batches = {task_in(push.tag) for push in pushes if push.task_id in ids} | {task_in(run.tag) for run in unseen}
    return ids | batches - {""}


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
    """Read, from a consumer's JSON log, which tasks it queued again because their message, or their batch's, had
    vanished."""
    return [
        RedeliveryLine(seconds_of(line), task_id)
        for line in json_lines(lines)
        if (_REDELIVERED in line["message"] or _DIVIDED in line["message"]) and line.get("task_id", "-") != "-"
        for task_id in all_ids(line["task_id"])
    ]


def read_letter_lines(lines: Iterable[str], pid: int) -> list[LetterLine]:
    """Read, from the JSON log of the consumer with that process, of which tasks it wrote dead letters."""
    return [
        LetterLine(seconds_of(line), line["task_id"], pid)
        for line in json_lines(lines)
        if line["message"].startswith(_DEAD_LETTER)
    ]
