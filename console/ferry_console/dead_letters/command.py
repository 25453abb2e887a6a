"""`ferry dead-letters`: ask Kafka, and tell."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from ferry_console.columns import show
from ferry_console.dead_letters.document import list_document, show_document
from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.dead_letters.purge_command import PurgeArguments, purge
from ferry_console.dead_letters.reading import read_letters
from ferry_console.dead_letters.replay_command import ReplayArguments, replay
from ferry_console.dead_letters.search import letters_of, topics_of
from ferry_console.dead_letters.text import heading, letter_lines, table, warnings
from ferry_console.output import json_line, say
from ferry_console.topic_log import TopicLog
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.logs import printable
from ferry_shared.record import TaskId
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from ferry_console.dead_letters.reading import LetterList

EXIT_OK, EXIT_NOT_FOUND, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3


class DeadLettersArguments(ReplayArguments, PurgeArguments, Protocol):
    """What the command line gives: `task_id` to `show`, `limit` and filters to `list`; None: nothing is asked for."""

    verb: str
    task_id: str
    limit: int


def main(arguments: DeadLettersArguments) -> int:
    """Print dead letters; returns the exit code."""
    settings = load(ConsumerSettings)
    try:
        if arguments.verb == "replay":
            return replay(settings, arguments)
        if arguments.verb == "purge":
            return purge(settings, arguments)
        return (_list if arguments.verb == "list" else _show)(settings, arguments)
    except KafkaUnavailable as error:
        print(f"ferry: {printable(str(error))}; KAFKA_BOOTSTRAP_SERVERS says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE


def _list(settings: ConsumerSettings, arguments: DeadLettersArguments) -> int:
    wanted = LetterFilter.of(arguments, arguments.group)
    log = TopicLog(settings, "ferry-dead-letters-list")
    try:
        answer = read_letters(log, topics_of(settings, arguments.topic), wanted, arguments.limit, arguments.timeout)
    finally:
        log.close()
    _tell(answer, as_json=arguments.json)
    return EXIT_OK if answer.topics else EXIT_NOT_FOUND


def _tell(answer: LetterList, *, as_json: bool) -> None:
    if as_json:
        say([json_line(list_document(answer))])
        return
    say([heading(answer)])
    for warning in warnings(answer):
        print(f"ferry: {printable(warning)}", file=sys.stderr)
    if rows := table(answer):
        show(rows)


def _show(settings: ConsumerSettings, arguments: DeadLettersArguments) -> int:
    try:
        task_id = TaskId.parse(arguments.task_id)
    except ValueError as error:
        print(f"ferry: {error}, such as messages-0-42", file=sys.stderr)
        return EXIT_USAGE
    letters = letters_of(task_id, settings)
    missing = [] if letters.complete else [f"the search was cut short after {letters.read:,} records"]
    if arguments.json:
        say([json_line(show_document(task_id.text, letters.found, complete=letters.complete, missing=missing))])
    elif letters.found:
        now_ms = int(time.time() * 1000)
        say([line for record in letters.found for line in letter_lines(record, now_ms)])
    if not letters.found:
        told = "".join(f"; {sentence}" for sentence in missing)
        print(
            f"ferry: {printable(task_id.text)} has no dead letter{told}: ask ferry trace where it is", file=sys.stderr
        )
        return EXIT_NOT_FOUND
    return EXIT_OK
