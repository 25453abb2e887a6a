"""Whether `ferry-producer --rate` keeps it, by the times that Kafka's client gave the records."""

from collections import Counter
from statistics import median

import pytest
from confluent_kafka import Consumer, TopicPartition

from ferry_console.local.kafka import LocalKafka
from ferry_producer.pace import MAX_BEHIND_SECONDS
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, end_offsets

#: The share by which the rate may be off in the median second.
TOLERANCE = 0.02


def keep_the_rate(ferry: FerryProcesses, kafka: LocalKafka, topic: str, *, rate: int, seconds: int) -> None:
    """Send for so long; the median second has the rate, and so have most: it isn't bursts and pauses.

    A machine that stands still for longer than is made up for makes the whole run longer, and no shorter.
    """
    create_topic(kafka.bootstrap_servers, topic)
    count = rate * seconds
    done = ferry.run(
        "-m", "ferry_producer", "tick", "--count", str(count), "--rate", str(rate), timeout_seconds=seconds + 60
    )
    assert done.returncode == 0, done.stderr
    times = timestamps_ms(kafka, topic)
    assert len(times) == count
    whole = (times[-1] - times[0]) / 1_000
    assert whole >= (count - 1) / rate * (1 - TOLERANCE) - MAX_BEHIND_SECONDS, "faster than asked for"
    sent_in = Counter((at - times[0]) // 1_000 for at in times)
    sent = [sent_in[second] for second in range(int(whole))]
    assert median(sent) == pytest.approx(rate, rel=TOLERANCE), sent
    assert sum(number == pytest.approx(rate, rel=2 * TOLERANCE) for number in sent) > len(sent) / 2, sent


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
