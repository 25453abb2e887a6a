"""`Publisher` from Python against real Kafka."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from ferry_producer.delivery import Delivered, NotDelivered
from ferry_producer.messages import message_from
from ferry_producer.publisher import Publisher
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.message import Message
from ferry_shared.settings import ProducerSettings
from tests.support.kafka_records import create_topic, read_all

if TYPE_CHECKING:
    from ferry_console.local.kafka import LocalKafka
    from tests.support.ferry_processes import FerryProcesses

#: Measured at 7 ms: 5 ms of linger and the broker's answer. AIOProducer needs 2 s.
ONE_MESSAGE_SECONDS = 0.25


@pytest.fixture
def producer_settings(kafka: LocalKafka, topic: str) -> ProducerSettings:
    """Settings that lead to this test's topic."""
    return ProducerSettings(kafka_bootstrap_servers=kafka.bootstrap_servers, ferry_topic=topic)


async def test_send_says_where_the_message_is(
    producer_settings: ProducerSettings, kafka: LocalKafka, topic: str
) -> None:
    """What `send` returns is the record's place, and the record is the message."""
    create_topic(kafka.bootstrap_servers, topic)
    message = message_from(b'{"text": "hello", "order": 7}')
    async with Publisher(producer_settings) as publisher:
        assert await publisher.send(message, key="k") == Delivered(topic, 0, 0)
        assert await publisher.send(message) == Delivered(topic, 0, 1)
        assert publisher.pending == 0
    records = read_all(kafka.bootstrap_servers, topic)
    assert [record.key for record in records] == [b"k", None]
    assert [Message.model_validate_json(record.value or b"") for record in records] == [message] * 2


async def test_one_message_is_quick(producer_settings: ProducerSettings) -> None:
    """An awaited message waits for the broker, not for a full batch."""
    async with Publisher(producer_settings) as publisher:
        await publisher.send(message_from(b"warm up"))
        started = time.monotonic()
        for _ in range(4):
            await publisher.send(message_from(b"a"))
        assert (time.monotonic() - started) / 4 < ONE_MESSAGE_SECONDS


async def test_many_at_once_stay_within_the_limit(
    producer_settings: ProducerSettings, kafka: LocalKafka, topic: str
) -> None:
    """Twenty thousand concurrent `send`s with a limit of 100: each is delivered once."""
    settings = producer_settings.model_copy(update={"producer_max_pending_messages": 100, "producer_linger_ms": 0})
    most = 0
    async with Publisher(settings) as publisher:

        async def send(number: int) -> Delivered:
            nonlocal most
            delivered = await publisher.send(message_from(b"%d" % number))
            most = max(most, publisher.pending)
            return delivered

        places = await asyncio.gather(*(send(number) for number in range(20_000)))
    assert most <= 100
    assert len(set(places)) == 20_000
    texts = [
        Message.model_validate_json(record.value or b"").text for record in read_all(kafka.bootstrap_servers, topic)
    ]
    assert sorted(map(int, texts)) == list(range(20_000))


async def test_a_small_queue_of_librdkafka_loses_nothing(
    producer_settings: ProducerSettings, kafka: LocalKafka, topic: str
) -> None:
    """Two messages fit into librdkafka's queue: BufferError means waiting."""
    settings = producer_settings.model_copy(update={"kafka_client_properties": {"queue.buffering.max.messages": 2}})
    async with Publisher(settings) as publisher:
        await asyncio.gather(*(publisher.send(message_from(b"%d" % number)) for number in range(50)))
    assert len(read_all(kafka.bootstrap_servers, topic)) == 50


async def test_leaving_the_block_waits_for_acknowledgements(
    producer_settings: ProducerSettings, kafka: LocalKafka, topic: str
) -> None:
    """What was only enqueued has its outcome when the block is left."""
    outcomes: list[object] = []
    async with Publisher(producer_settings) as publisher:
        for _ in range(1_000):
            await publisher.enqueue(message_from(b"a"), outcomes.append)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert len(outcomes) == len(read_all(kafka.bootstrap_servers, topic)) == 1_000


async def test_a_refused_message_raises(producer_settings: ProducerSettings) -> None:
    """A message above Kafka's limit raises, with its reason; the publisher goes on."""
    async with Publisher(producer_settings) as publisher:
        with pytest.raises(NotDelivered, match="too large") as error:
            await publisher.send(message_from(b'{"text": "a", "more": "%s"}' % (b"x" * 1_100_000)))
        assert error.value.outcome.refused
        assert isinstance(await publisher.send(message_from(b"a")), Delivered)


async def test_a_caller_who_leaves_harms_nobody(producer_settings: ProducerSettings) -> None:
    """A `send` that is cancelled is still delivered, and the others too."""
    async with Publisher(producer_settings) as publisher:
        leaving = asyncio.create_task(publisher.send(message_from(b"a")))
        staying = asyncio.create_task(publisher.send(message_from(b"b")))
        await asyncio.sleep(0)
        leaving.cancel()
        assert isinstance(await staying, Delivered)


async def test_opening_creates_the_topic(producer_settings: ProducerSettings, kafka: LocalKafka, topic: str) -> None:
    """The topic is there before the first message, whether the broker creates topics by itself or not."""

    def topics() -> set[str]:
        return set(AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics().topics)

    assert topic not in topics()
    async with Publisher(producer_settings):
        assert topic in topics()


def test_the_documented_example_runs(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """The Python example of docs/send_messages.md does what it says."""
    page = (Path(__file__).parents[2] / "docs" / "send_messages.md").read_text()
    [example] = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    done = ferry.run("-c", example)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{topic} ")
    assert len(read_all(kafka.bootstrap_servers, topic)) == 1_001


async def test_two_publishers_create_one_topic(producer_settings: ProducerSettings) -> None:
    """Both find the topic missing; the second to create it doesn't mind."""

    async def send(text: bytes) -> Delivered:
        async with Publisher(producer_settings) as publisher:
            return await publisher.send(message_from(text))

    assert len(await asyncio.gather(*(send(b"%d" % number) for number in range(4)))) == 4


async def test_an_unreachable_kafka_raises(producer_settings: ProducerSettings) -> None:
    """Nobody there: an error with the address, not a hanging block."""
    settings = producer_settings.model_copy(
        update={"kafka_bootstrap_servers": "127.0.0.1:1", "producer_connect_timeout_seconds": 0.3}
    )
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127\.0\.0\.1:1 can't be reached within 0\.3 s: .*refused"):
        async with Publisher(settings):
            pass
