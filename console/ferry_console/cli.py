"""The command `ferry`: for operators and newcomers."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from ferry_console.dead_letters.arguments import add_dead_letters
from ferry_console.doctor.arguments import add_doctor
from ferry_console.in_flight.arguments import add_in_flight
from ferry_console.local.arguments import add_local
from ferry_console.operating.arguments import add_commands
from ferry_console.page.arguments import add_page
from ferry_console.status.arguments import add_status
from ferry_console.topics.arguments import add_topics
from ferry_console.trace.arguments import add_trace
from ferry_shared.completion import add_completion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

EXIT_UNEXPECTED, EXIT_CONFIGURATION, EXIT_UNREACHABLE, EXIT_INTERRUPTED = 1, 2, 3, 130
#: What a shell reports of a program that SIGPIPE has ended.
EXIT_OUTPUT_CLOSED = 141

_EXAMPLES = """\
examples:
  ferry demo "hello" "world"                      messages through the whole system, every one accounted for
  ferry up                                        Kafka, Valkey, consumer, worker and beat on this machine, until Ctrl-C
  ferry status --watch                            how far each partition is, every two seconds, until Ctrl-C
  ferry trace messages-0-42                       what is known of one message
  ferry in-flight list --older-than 300           what holds it up
  ferry dead-letters list --since 2h              what failed lately, newest first
  ferry dead-letters show messages-0-42           one of them, whole
  ferry dead-letters replay --reason ValueError   send them again
  ferry dead-letters purge --until 30d            remove the old ones for good
  ferry pause messages                            dispatch nothing more of a topic
  ferry resume messages                           let it go on
  ferry drain                                     pause all topics, and wait until nothing is in flight
  ferry skip messages-0-42 --reason "a test"      end one message in flight as a dead letter
  ferry forget shop --dry-run                     what Redis holds of a consumer group that is retired
  ferry doctor                                    what is wrong with settings, Redis, Kafka or workers
  ferry console                                   all of this live in a browser
  ferry topics create --dry-run                   which topics are missing, and what they would be

Settings come from the environment and from .env; .env.example lists them all.
exit codes: 0 fine, 1 something unexpected or unaccounted for, 2 wrong usage or setting, 3 a server can't be reached
"""


#: Where each command's `main` is.
_MODULES = {
    "up": "ferry_console.up",
    "demo": "ferry_console.demo.command",
    "status": "ferry_console.status.command",
    "trace": "ferry_console.trace.command",
    "in-flight": "ferry_console.in_flight.command",
    "dead-letters": "ferry_console.dead_letters.command",
    "pause": "ferry_console.operating.pausing",
    "resume": "ferry_console.operating.pausing",
    "drain": "ferry_console.operating.drain_command",
    "skip": "ferry_console.operating.skipping",
    "forget": "ferry_console.operating.forget_command",
    "doctor": "ferry_console.doctor.command",
    "topics": "ferry_console.topics.command",
    "console": "ferry_console.page.command",
}


class Arguments(argparse.Namespace):
    """The command line, parsed; each command has the fields that it needs."""

    parser: argparse.ArgumentParser
    command: str
    words: list[str]
    timeout: float
    data: Path
    task_id: str
    watch: float | None
    json: bool
    group: str | None
    group_name: str
    old: float
    target: str
    targets: list[str]
    reason: str
    dry_run: bool
    verb: str
    topic: str | None
    partition: int | None
    older_than: float | None
    state: str | None
    limit: int
    with_reason: str | None
    since: int | None
    until: int | None
    text: str | None
    task_ids: list[str]
    all: bool
    most: int | None
    force: bool
    all_groups: bool
    replayed: bool
    yes: bool
    topics: list[str]
    partitions: int | None
    replicas: int | None
    host: str
    port: int
    token_file: Path | None
    allowed_host: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments, unknown = parser().parse_known_args(argv, Arguments())
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does; Python must not complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT_CLOSED


def _run(arguments: Arguments) -> int:
    """Run the command; what an operator must change is told in a sentence."""
    from ferry_shared.errors import ConfigurationError  # noqa: PLC0415 - imported when needed: `--help` must not wait for it

    try:
        return _start(arguments)
    except ConfigurationError as error:
        print(f"ferry: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except ModuleNotFoundError as error:
        print(f"ferry: {arguments.command} needs {error.name}: pip install 'ferry-kafka[local]'", file=sys.stderr)
        return EXIT_CONFIGURATION


def _start(arguments: Arguments) -> int:
    """Import what the command needs and nothing else: `ferry --help` must not wait for Kafka's and Celery's clients."""
    run: Callable[[Arguments], int] = import_module(_MODULES[arguments.command]).main
    return run(arguments)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    root = argparse.ArgumentParser(
        prog="ferry",
        description="Ferry carries every Kafka message to a Celery task.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_local(commands)
    add_status(commands)
    add_trace(commands)
    add_in_flight(commands)
    add_dead_letters(commands)
    add_commands(commands)
    add_doctor(commands)
    add_topics(commands)
    add_page(commands)
    add_completion(root)
    return root
