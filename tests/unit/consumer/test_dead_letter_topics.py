"""Names of dead-letter topics, and their room."""

import logging

import pytest

from ferry_consumer.dead_letter_topics import (
    HEADERS_BYTES,
    LEAST_ROOM_BYTES,
    MOST_ROOM_BYTES,
    check_names,
    new_topic,
    room_for,
    warn_of_narrow,
)
from ferry_shared.errors import ConfigurationError


def test_a_name_that_would_be_too_long_is_told_with_its_topic() -> None:
    """249 characters are Kafka's limit; the suffix counts."""
    check_names(["x" * 245, "short"], ".dlq")
    with pytest.raises(ConfigurationError) as caught:
        check_names(["short", "x" * 246], ".dlq")
    assert str(caught.value).startswith(f"CONSUMER_DEAD_LETTER_SUFFIX: the dead-letter topic {'x' * 246}.dlq")
    assert "250 characters, Kafka allows 249" in str(caught.value)


@pytest.mark.parametrize(
    ("source_limit", "room"),
    [
        (None, LEAST_ROOM_BYTES),
        (1_048_588, 2_097_176),
        (1_000, LEAST_ROOM_BYTES),
        (10_000_000, 20_000_000),
        (2_000_000_000, MOST_ROOM_BYTES),
    ],
)
def test_there_is_room_for_the_sources_largest_record_and_headers(source_limit: int | None, room: int) -> None:
    """Whatever the source takes, the dead-letter topic takes more, as far as Kafka counts."""
    assert room_for(source_limit) == room
    assert room_for(source_limit) >= min((source_limit or 0) + HEADERS_BYTES, MOST_ROOM_BYTES)


def test_a_dead_letter_topic_keeps_what_it_gets() -> None:
    """Whatever the broker's defaults are: compaction would refuse dead letters without a key."""
    assert new_topic("orders.dlq", -1, 1_048_588).config == {
        "max.message.bytes": "2097176",
        "retention.ms": "-1",
        "cleanup.policy": "delete",
    }


def test_narrow_topics_are_told_with_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    """Only those; a topic whose configuration can't be read is passed over."""
    caplog.set_level(logging.WARNING)
    sources = {"narrow": 1_048_588, "wide": 1_048_588, "unknown": 1_048_588}
    warn_of_narrow(sources, {"narrow.dlq": 1_048_588, "wide.dlq": 2_097_152}, ".dlq")
    assert [record.getMessage() for record in caplog.records] == [
        "narrow.dlq takes at most 1048588 bytes, narrow up to 1048588: set max.message.bytes of narrow.dlq to 2097176, "
        "for a dead letter is its record plus headers"
    ]
