"""`ferry up`: the whole system on this machine, with one log, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ferry_console.local import commands
from ferry_console.local.errors import LocalSystemError
from ferry_console.local.kafka_jars import KAFKA_VERSION
from ferry_console.local.ports import LOOPBACK
from ferry_console.local.running import Folder, Running
from ferry_console.local.service_process import exit_reason
from ferry_console.local.start import PlannedSettings, SystemLog, planned, started
from ferry_console.local.system import local_environment
from ferry_shared.routes import load_routes
from ferry_shared.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_console.cli import Arguments
    from ferry_console.local.system import LocalSystem

_POLL_SECONDS = 0.05
_FOREVER = ("--forever", "--interval", "0.2")


#: Settings that the pasted commands need as well, where the environment of this terminal gives them.
_PASSED_ON = ("FERRY_ROUTES", "FERRY_TOPIC", "CONSUMER_GROUP")


def main(arguments: Arguments) -> int:
    """Run the system until a signal (exit code 0) or until a part of it ends (1).

    Raises:
        ConfigurationError: a setting is wrong, or FERRY_ROUTES names no routes.
    """
    folder = Folder(arguments.data)
    settings = load(PlannedSettings)
    topics = [route.topic for route in load_routes(settings)]
    try:
        with folder.claimed() as lock:
            return _already(folder) if lock is None else _up(folder, settings, topics, lock)
    except LocalSystemError as error:
        print(f"ferry: {error}", file=sys.stderr)
        return 1


def _up(folder: Folder, settings: PlannedSettings, topics: Sequence[str], lock: int) -> int:
    results = bool(settings.celery_result_backend.get_secret_value())
    log = None
    with suppress(KeyboardInterrupt):
        try:
            with started(
                folder,
                lambda: planned("up", settings, folder),
                lambda running: local_environment(os.environ, running, results=results),
                lock,
            ) as system:
                log = SystemLog(system)
                given = {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
                first = first_message(topics) if settings.ferry_routes else ("hello",)
                print(introduction(system.running, folder, topics, first, given), flush=True)
                return _follow(system, log)
        finally:
            if log is not None:
                log.show_new()
    print("everything is stopped, its data is kept", flush=True)
    return 0


def _follow(system: LocalSystem, log: SystemLog) -> int:
    """Show the log until a process ends that should not."""
    while True:
        ended = system.ended()
        log.show_new()
        if ended is not None:
            log.show("ferry", f"{ended.name} ended with {exit_reason(ended.exit_code)}; stopping everything")
            return 1
        time.sleep(_POLL_SECONDS)


def first_message(topics: Sequence[str]) -> tuple[str, ...]:
    """The producer's arguments for a message of a user's own, which nobody here knows: it is typed."""
    return ("-",) if len(topics) == 1 else ("--topic", topics[0], "-")


def introduction(
    running: Running, folder: Folder, topics: Sequence[str], first: Sequence[str], given: Mapping[str, str]
) -> str:
    """What runs where, and what to do with it; `first` are the producer's arguments for a message."""
    commands_to_paste = (
        commands.to_kafka(running, "ferry-producer", *first, given=given),
        *(() if "-" in first else (commands.to_kafka(running, "ferry-producer", *_FOREVER, given=given),)),
        commands.to_all(running, "ferry", "status", "--watch", given=given),
        commands.to_all(running, "ferry", "trace", f"{topics[0]}-0-0", given=given),
    )
    pasted = "\n".join(f"  {command}" for command in commands_to_paste)
    named = f"topic {topics[0]}" if len(topics) == 1 else f"topics {', '.join(topics)}"
    return f"""
Ferry is running. Ctrl-C stops it; data and logs are kept in {folder.path}
  Kafka {KAFKA_VERSION}   {running.bootstrap_servers}   {named}, group {running.group}
  Valkey        {running.broker_url}
  consumer      http://{LOOPBACK}:{running.http_port}/readyz and /metrics
  worker, beat

Paste into another terminal:
{pasted}
"""


def _already(folder: Folder) -> int:
    running = folder.running()
    owner = f"`ferry {running.command}` (process {running.pid})" if running else "another system"
    print(f"ferry: {owner} already runs in {folder.path}", file=sys.stderr)
    return 1
