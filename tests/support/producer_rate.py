"""Whether `ferry-producer --rate` keeps it, by the times that Kafka's client gave the records."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from ferry_console.local.kafka import LocalKafka
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, end_offsets

#: The share by which the rate may be off over the whole run.
TOLERANCE = 0.02


def keep_the_rate(ferry: FerryProcesses, kafka: LocalKafka, topic: str, *, rate: int, seconds: int) -> None:
    """Send for so long; the whole run has the rate, and so has each half: it isn't one burst and a pause."""
    create_topic(kafka.bootstrap_servers, topic)
    count = rate * seconds
    done = ferry.run(
        "-m", "ferry_producer", "tick", "--count", str(count), "--rate", str(rate), timeout_seconds=seconds + 60
    )
    assert done.returncode == 0, done.stderr
    times = timestamps_ms(kafka, topic)
    assert len(times) == count
    whole, first = times[-1] - times[0], times[count // 2] - times[0]
    assert whole / 1_000 == pytest.approx((count - 1) / rate, rel=TOLERANCE)
    assert first / 1_000 == pytest.approx(count / 2 / rate, rel=2 * TOLERANCE)


def timestamps_ms(kafka: LocalKafka, topic: str) -> list[int]:
    """When the records of partition 0 were made, in milliseconds since 1970."""
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "timestamps", "enable.auto.commit": False}
    reader = Consumer(settings | {"auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(topic, 0, 0)])
    end, times = end_offsets(kafka.bootstrap_servers, topic)[0], list[int]()
    while len(times) < end:
        times += [message.timestamp()[1] for message in reader.consume(1_000, 1.0)]
    reader.close()
    return times
