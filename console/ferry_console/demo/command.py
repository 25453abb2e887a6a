"""`ferry demo`: start the system or use the one that runs, send messages, account for each of them."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ferry_console.demo import report
from ferry_console.demo.sending import BROKEN, FILE_MESSAGES, Run, send_broken, send_file, send_words, write_file
from ferry_console.demo.watching import Watch
from ferry_console.local import commands
from ferry_console.local.errors import LocalSystemError
from ferry_console.local.running import Folder, Running
from ferry_console.local.service_process import exit_reason
from ferry_console.local.start import PlannedSettings, planned, started
from ferry_console.local.system import local_environment
from ferry_producer.sources import default_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_console.cli import Arguments
    from ferry_console.demo.account import Account
    from ferry_console.local.system import LocalSystem

DEFAULT_FOLDER = Path(".ferry")
_POLL_SECONDS = 0.05
_SETTING_PREFIXES = ("KAFKA_", "CELERY_", "FERRY_", "CONSUMER_", "PRODUCER_", "WORKER_", "LOG_")


@dataclass(frozen=True)
class Outcome:
    """How a demo ended, after how long, and a task id of it."""

    account: Account
    seconds: float
    example: str


def main(arguments: Arguments) -> int:
    """Return 0 once every message is accounted for, 1 if something is missing when time is over."""
    folder = Folder(arguments.data)
    try:
        with folder.claimed() as lock:
            if lock is None:
                return _in_running_system(folder, arguments)
            with started(
                folder,
                # The demo shows the built-in route, whatever a developer's settings say.
                lambda: planned("demo", PlannedSettings.model_construct(), folder),
                lambda running: local_environment(_plain_environment(folder), running),
                lock,
            ) as system:
                running = system.running
                outcome = _demonstrate(folder, running, arguments, system)
            # Everything is stopped again: to look at what is kept, it must run.
            return _finish(outcome, running, [_line_up(arguments)])
    except LocalSystemError as error:
        print(f"ferry: {error}", file=sys.stderr)
        return 1


def _in_running_system(folder: Folder, arguments: Arguments) -> int:
    running = folder.running()
    if running is None or running.command != "up":
        raise LocalSystemError(f"another demo runs in {folder.path}; wait for its end")
    print(f"using the system of `ferry up` (process {running.pid})", flush=True)
    return _finish(_demonstrate(folder, running, arguments, None), running)


def _demonstrate(folder: Folder, running: Running, arguments: Arguments, system: LocalSystem | None) -> Outcome:
    """Send everything, wait until it is accounted for, time is over or a process has ended."""
    run = Run.new()
    environment = local_environment(_plain_environment(folder), running) | {"FERRY_TOPIC": running.topic}
    file = folder.path / "demo" / "messages.jsonl"
    write_file(file, run)
    given = (len(arguments.words) or len(default_lines())) + FILE_MESSAGES + 1
    with closing(Watch(folder.logs, running, run, given)) as watch:
        began = time.monotonic()
        _tell(running, "ferry-producer", "--key", run.name, *arguments.words)
        send_words(arguments.words, run, environment)
        watch.look()
        _tell(running, "ferry-producer", "-", "<", os.path.relpath(file))
        send_file(file, environment)
        print(f"and a broken message, from elsewhere: {BROKEN.decode()}", flush=True)
        send_broken(running.bootstrap_servers, running.topic, run)
        while not watch.look().complete and time.monotonic() < began + arguments.timeout:
            _check(system)
            time.sleep(_POLL_SECONDS)
        return Outcome(watch.finish(), time.monotonic() - began, watch.example)


def _check(system: LocalSystem | None) -> None:
    ended = system.ended() if system is not None else None
    if ended is not None:
        raise LocalSystemError(f"{ended.name} ended with {exit_reason(ended.exit_code)}:\n{ended.log_tail()}")


def _finish(outcome: Outcome, running: Running, first: Sequence[str] = ()) -> int:
    """Print the table and three commands, those in `first` before others; returns the exit code."""
    console = Console(highlight=False)
    report.show(outcome.account, outcome.seconds, console)
    following = [
        *first,
        commands.to_all(running, "ferry", "trace", outcome.example),
        commands.to_kafka(running, "ferry-producer", "one more"),
        commands.to_kafka(running, "ferry-producer", "--forever", "--interval", "0.2"),
    ]
    report.show_next(following[:3], console)
    return 0 if outcome.account.complete else 1


def _tell(running: Running, name: str, *arguments: str) -> None:
    print(f"$ {commands.to_kafka(running, name, *arguments)}", flush=True)


def _line_up(arguments: Arguments) -> str:
    data = [] if arguments.data == DEFAULT_FOLDER else ["--data", str(arguments.data)]
    return " ".join([commands.program("ferry"), "up", *data, "   # in another terminal"])


def _plain_environment(folder: Folder) -> dict[str, str]:
    """This process' environment without any setting of Ferry's, and an empty file in place of `.env`."""
    empty = folder.path / "demo" / "empty.env"
    empty.parent.mkdir(parents=True, exist_ok=True)
    empty.touch()
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_SETTING_PREFIXES)}
    return kept | {"FERRY_ENV_FILE": str(empty)}
