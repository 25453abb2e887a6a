"""`ferry trace ID`: ask Redis and Kafka, and tell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ferry_console.output import json_line, say
from ferry_console.trace.document import document
from ferry_console.trace.findings import Findings
from ferry_console.trace.kafka_side import KafkaSide
from ferry_console.trace.redis_side import look
from ferry_console.trace.text import lines
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_shared.record import TaskId
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from ferry_console.trace.findings import DeadLetters, KafkaView

EXIT_OK, EXIT_NOT_FOUND, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3


class TraceArguments(Protocol):
    """What the command line gives."""

    task_id: str
    json: bool


def main(arguments: TraceArguments) -> int:
    """Print what is known; the exit code says whether there is a message of that id (0), or not (1).

    While Kafka or Redis is away (3) the other's half is printed.
    """
    try:
        task_id = TaskId.parse(arguments.task_id)
    except ValueError as error:
        print(f"ferry: {error}, such as messages-0-42", file=sys.stderr)
        return EXIT_USAGE
    findings, reached = find(task_id, load(ConsumerSettings))
    say([json_line(document(findings))] if arguments.json else lines(findings))
    if not reached:
        return EXIT_UNREACHABLE
    return EXIT_OK if findings.known else EXIT_NOT_FOUND


def find(task_id: TaskId, settings: ConsumerSettings) -> tuple[Findings, bool]:
    """Ask both servers; tells whether both answered.

    Kafka first: what ends meanwhile is then found in the ledger as ended, and its dead letter is looked for last.
    """
    missing: list[str] = []
    entry, queue, kafka, letters = None, None, None, None
    reached = True
    side = KafkaSide(settings)
    try:
        try:
            kafka = side.record(task_id)
        except KafkaUnavailable as error:
            missing.append(f"{error}: neither the record nor its dead letters are known")
            reached = False
        try:
            entry, queue, problem = look(connect(settings.ledger_url), settings, task_id)
            missing += [problem] if problem and entry.state is not None else []
        except RedisUnavailable as error:
            missing.append(f"{error}: whether it was dispatched, and what became of it, is not known")
            reached = False
        # Dead letters have the ids of single messages.
        if kafka is not None and not task_id.is_batch:
            letters, problem = _letters(side, task_id, kafka)
            missing += [problem] if problem else []
            reached = reached and problem is None
    finally:
        side.close()
    return Findings(task_id, entry, queue, kafka, letters, tuple(missing)), reached


def _letters(side: KafkaSide, task_id: TaskId, kafka: KafkaView) -> tuple[DeadLetters | None, str | None]:
    sent_ms = kafka.record.timestamp_ms if kafka.record else None
    try:
        return side.dead_letters(task_id, sent_ms), None
    except KafkaUnavailable as error:
        return None, f"{error}: its dead letters are not known"
