"""What KAFKA_CLIENT_PROPERTIES change of the consumer's side clients, and what they don't."""

from collections.abc import Callable
from typing import Any

import pytest

from ferry_console.topic_log import TopicLog
from ferry_consumer import dead_letters
from ferry_consumer.client_log import LOG_LEVEL_CRITICAL
from ferry_consumer.record_reader import RecordReader
from ferry_shared.settings import ConsumerSettings

SETTINGS = ConsumerSettings(
    kafka_client_properties={"group.id": "theirs", "log_level": 7, "client.id": "theirs", "linger.ms": 1}
)


def of_record_reader(_: pytest.MonkeyPatch) -> dict[str, Any]:
    """Reads records again."""
    return dict(RecordReader(SETTINGS)._properties)


def of_topic_log(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Reads topics for the console."""
    made: dict[str, Any] = {}
    monkeypatch.setattr("ferry_consumer.client.created", lambda _kind, properties: made.update(properties))
    TopicLog(SETTINGS, "ferry-trace")
    return made


@pytest.mark.parametrize(("of", "name"), [(of_record_reader, "ferry-reader"), (of_topic_log, "ferry-trace")])
def test_a_reader_has_a_group_of_its_own_that_nobody_joins(
    of: Callable[[pytest.MonkeyPatch], dict[str, Any]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is given; what it promises nothing by is the user's."""
    first, second = of(monkeypatch), of(monkeypatch)
    assert first["group.id"].startswith(f"{name}-")
    assert first["group.id"] != second["group.id"]
    assert (first["log_level"], first["enable.auto.commit"], first["client.id"]) == (
        LOG_LEVEL_CRITICAL, False, "theirs",
    )  # fmt: skip


def test_who_writes_dead_letters_tells_of_errors_itself() -> None:
    """The client's own lines would come beside Ferry's; how long it lingers is the user's."""
    properties = dead_letters._properties(SETTINGS)
    assert (properties["log_level"], properties["linger.ms"]) == (LOG_LEVEL_CRITICAL, 1)
