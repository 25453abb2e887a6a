"""What the consumer writes of its partitions, on a real server."""

import time
from typing import Any

import pytest
from pydantic import TypeAdapter

from ferry_consumer.health import Health
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Place
from ferry_consumer.status import StatusWriter
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from ferry_shared.status import UNKNOWN_OFFSET, read_status

PLACE = TopicPartition("orders", 0)


class Log:
    """Kafka, which knows the ends of logs or is away."""

    def __init__(self, end: int | None) -> None:
        self.end = end

    def log_ranges(self, places: list[TopicPartition], _: float) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and log end."""
        if self.end is None:
            raise KafkaUnavailable
        return dict.fromkeys(places, (0, self.end))


def writer(url: str, log: Any, health: Health) -> StatusWriter:
    """A writer for the default group."""
    return StatusWriter(ConsumerSettings(), connect(url), log, Metrics(), health)


def partition() -> Partition:
    """A partition at position 7."""
    keys = LedgerKeys.of("", "ferry", PLACE)
    return Partition(Place(PLACE, Route("orders", str, "task"), TypeAdapter(str), keys, "celery"), expected=7)


def test_the_time_is_the_servers(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is an hour wrong is not silent, and its word is not of the future."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3_600)
    client, health = connect(redis_url), Health()
    before = server_time_ms(client)
    writer(redis_url, Log(9), health).write({PLACE: partition()})
    (word,) = read_status(client, "", "ferry")
    assert before <= word.at_ms <= server_time_ms(client)
    assert (word.log_end, word.position, health.kafka, health.redis) == (9, 7, True, True)


def test_a_log_end_that_kafka_does_not_tell_is_unknown(redis_url: str) -> None:
    """It isn't the position: that would look like a log that was read to its end."""
    health = Health()
    writer(redis_url, Log(None), health).write({PLACE: partition()})
    (word,) = read_status(connect(redis_url), "", "ferry")
    assert (word.log_end, word.position, health.kafka, health.redis) == (UNKNOWN_OFFSET, 7, False, True)


def test_without_redis_nothing_is_written_and_nothing_breaks() -> None:
    """Only `/readyz` tells."""
    health = Health()
    writer("redis://127.0.0.1:1/0", Log(9), health).write({PLACE: partition()})
    assert (health.kafka, health.redis) == (True, False)
