"""Where dead letters are looked for: which topics, and those of one id by the search of `ferry trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.trace.findings import DeadLetters
from ferry_console.trace.kafka_side import SEARCH_SECONDS, KafkaSide
from ferry_shared.routes import load_routes

if TYPE_CHECKING:
    from ferry_shared.record import TaskId
    from ferry_shared.settings import ConsumerSettings


def topics_of(settings: ConsumerSettings, topic: str | None) -> list[str]:
    """The dead-letter topics of all routes, or the one of a topic; that can be named by its own name, too.

    Raises:
        ConfigurationError: the routes can't be read.
    """
    suffix = settings.consumer_dead_letter_suffix
    if topic is not None:
        return [topic if topic.endswith(suffix) else topic + suffix]
    return [route.topic + suffix for route in load_routes(settings)]


def letters_of(task_id: TaskId, settings: ConsumerSettings, seconds: float = SEARCH_SECONDS) -> DeadLetters:
    """Search for a task's dead letters, so long; what has none, and is itself one, by where it lies, is taken for it.

    Raises:
        KafkaUnavailable: Kafka did not answer.
    """
    side = KafkaSide(settings)
    try:
        record = side.record(task_id).record
        letters = side.dead_letters(task_id, record.timestamp_ms if record else None, seconds)
        if not letters.found and record is not None and task_id.topic.endswith(settings.consumer_dead_letter_suffix):
            return DeadLetters((record,), letters.read, complete=True)
        return letters
    finally:
        side.close()
