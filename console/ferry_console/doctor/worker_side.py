"""Have the worker's start checks made in another process, and judge what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ferry_console.doctor.finding import Area, Severity, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferry_console.doctor.finding import Finding

TIMEOUT_SECONDS = 30.0
_COMMAND = (sys.executable, "-m", "ferry_console.doctor.worker_probe")
_REMEDIES = {
    Severity.ERROR: "correct it: a worker refuses to start like this",
    Severity.WARNING: "name its module in FERRY_IMPORTS; or leave it, if it is a task of an app of your own that calls "
    "ferry_worker.track(app)",
}


def start_findings(command: Sequence[str] = _COMMAND, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Finding]:
    """What a worker would say at its start with the settings that are here."""
    if find_spec("celery") is None:
        yield ok(Area.WORKERS, "the tasks are not looked at: Celery isn't installed here")
        return
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        yield error(
            Area.WORKERS,
            f"importing the modules of FERRY_IMPORTS takes longer than {timeout_seconds:.0f} s",
            "find what they wait for; a worker would wait for it, too",
        )
        return
    yield from judged(done.returncode, done.stdout, done.stderr)


def judged(exit_code: int, output: str, errors: str) -> Iterator[Finding]:
    """Judge how the probe ended; what a user's modules printed before its line doesn't matter."""
    told = _told(output) if exit_code == 0 else None
    if told is None:
        last = (errors.strip().splitlines() or ["it printed nothing"])[-1]
        yield error(
            Area.WORKERS,
            f"importing the modules of FERRY_IMPORTS ended the program with exit code {exit_code}: {last}",
            "move what they do at import into functions",
        )
        return
    for severity, sentence in told:
        make = error if severity is Severity.ERROR else warning
        yield make(Area.WORKERS, sentence, _REMEDIES[severity])
    if not told:
        yield ok(Area.WORKERS, "Ferry's worker knows the task of every route, and its time limits fit together")


def _told(output: str) -> list[tuple[Severity, str]] | None:
    lines = output.strip().splitlines()
    try:
        found: Any = json.loads(lines[-1])
        return [(Severity(severity), str(sentence)) for severity, sentence in found]
    except (IndexError, ValueError, TypeError):
        return None
