"""What was executed, and what lies in the dead-letter topic, must be what Kafka holds at that place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.messages import serial_of
from tests.chaos.oracle.explanation import Repeat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.evidence import Evidence


def wrong_contents(evidence: Evidence) -> Iterator[Repeat]:
    """Runs that were given another message than their id's, and dead letters with another value or origin."""
    for run in evidence.executions:
        value = evidence.values.get(run.task_id)
        if value is not None and serial_of(value) != run.serial:
            yield Repeat(f"executed with message {run.serial}", run.task_id, run.started, None)
    for letter in evidence.dead_letters:
        if letter.named != letter.task_id:
            yield Repeat(f"dead letter whose headers name {letter.named}", letter.task_id, letter.at, None)
        if letter.task_id in evidence.values and letter.value != evidence.values[letter.task_id]:
            yield Repeat("dead letter with another value", letter.task_id, letter.at, None)
