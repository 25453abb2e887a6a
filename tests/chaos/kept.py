"""A run's folder as evidence: what Kafka's topics held and what the faults did is kept beside all that was written.

So a run can be judged again, also by rules that are stricter than those of its time: `tests.chaos.judge_again`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from tests.chaos import effects as kinds
from tests.chaos.commits import COMMITS_FILE, read_commits
from tests.chaos.copies import read_copies
from tests.chaos.effects import History
from tests.chaos.evidence import DeadLetter, Evidence
from tests.chaos.evidence_files import (
    read_acquisitions,
    read_executions,
    read_letter_lines,
    read_losses,
    read_pushes,
    read_redeliveries,
    repeated_tasks,
)
from tests.chaos.observation import PUSHES_FILE
from tests.chaos.tasks import EXECUTIONS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.chaos.effects import Effect

VALUES_FILE, LETTERS_FILE, EFFECTS_FILE = "messages.tsv", "dead_letters.jsonl", "effects.jsonl"
PROCESSES_FILE = "consumers.json"
_KINDS: Mapping[str, type[Effect]] = {
    kind.__name__: kind
    for kind in (kinds.Killed, kinds.Held, kinds.Left, kinds.Away, kinds.Full, kinds.Forgot, kinds.Rewound)
}


def keep(directory: Path, values: Mapping[str, bytes], letters: Iterable[DeadLetter], done: Iterable[Effect]) -> None:
    """Write all three files; no message of the load holds a tab or a line end."""
    (directory / VALUES_FILE).write_bytes(b"".join(b"%s\t%s\n" % (key.encode(), values[key]) for key in values))
    (directory / LETTERS_FILE).write_bytes(b"".join(map(_letter_line, letters)))
    (directory / EFFECTS_FILE).write_bytes(b"".join(map(_effect_line, done)))


def _letter_line(letter: DeadLetter) -> bytes:
    value = None if letter.value is None else letter.value.decode("latin-1")
    return orjson.dumps({**asdict(letter), "value": value}, option=orjson.OPT_APPEND_NEWLINE)


def _effect_line(effect: Effect) -> bytes:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    return orjson.dumps({"effect": type(effect).__name__, **asdict(effect)}, option=options)


def read_values(directory: Path) -> dict[str, bytes]:
    """The messages, by task id."""
    pairs = (line.split(b"\t", 1) for line in (directory / VALUES_FILE).read_bytes().splitlines())
    return {task_id.decode(): value for task_id, value in pairs}


def read_letters(directory: Path) -> list[DeadLetter]:
    """The dead letters."""
    return [
        DeadLetter(**{**line, "value": None if line["value"] is None else line["value"].encode("latin-1")})
        for line in _lines(directory / LETTERS_FILE)
    ]


def read_effects(directory: Path) -> tuple[Effect, ...]:
    """What the faults did."""
    return tuple(_effect(line) for line in _lines(directory / EFFECTS_FILE))


def keep_processes(directory: Path, pids: Mapping[str, int]) -> None:
    """Write which process wrote which log of a consumer."""
    (directory / PROCESSES_FILE).write_bytes(orjson.dumps(pids))


def read_evidence(directory: Path) -> Evidence:
    """Everything, once all has been kept and the observer has ended."""
    notes = directory / PUSHES_FILE
    pushes, executions = read_pushes(_text(notes)), read_executions(_text(directory / EXECUTIONS_FILE))
    pids: dict[str, int] = orjson.loads((directory / PROCESSES_FILE).read_bytes())
    logs = [(directory / "logs" / name, pid) for name, pid in pids.items()]
    return Evidence(
        values=read_values(directory),
        pushes=pushes,
        copies=read_copies(_text(notes), repeated_tasks(pushes, executions)),
        executions=executions,
        dead_letters=read_letters(directory),
        acquisitions=[line for path, _ in logs for line in read_acquisitions(_text(path))],
        redeliveries=[line for path, _ in logs for line in read_redeliveries(_text(path))],
        letter_lines=[line for path, pid in logs for line in read_letter_lines(_text(path), pid)],
        commits=read_commits(_text(directory / COMMITS_FILE)),
        history=History(read_effects(directory)).narrowed(read_losses(_text(notes))),
    )


def _text(path: Path) -> Iterator[str]:
    with path.open(errors="replace") as file:
        yield from file


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (orjson.loads(line) for line in path.read_bytes().splitlines())


def _effect(line: dict[str, Any]) -> Effect:
    kind, part = _KINDS[line.pop("effect")], kinds.Part(line.pop("part"))
    if "offsets" in line:
        line["offsets"] = {int(partition): offset for partition, offset in line["offsets"].items()}
    return kind(part=part, **line)
