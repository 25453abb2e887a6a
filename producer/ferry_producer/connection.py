"""Reaching Kafka at start: is it there, and does the topic exist?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ferry_producer.client_events import Outage, client_logger, readable
from ferry_shared.errors import FerryError, KafkaUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ferry_shared.kafka_properties import PropertyValue

_SERVE_SECONDS = 0.005
_NO_ANSWER = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})


class TopicRefused(FerryError):
    """Kafka answers, but the topic can't be used."""


async def ensure_topic(properties: dict[str, PropertyValue], topic: str, timeout_seconds: float) -> None:
    """Wait until Kafka answers and create `topic` if it is missing, with the broker's default partitions and replicas.

    Raises:
        KafkaUnavailable: no answer within `timeout_seconds`; names the address and the last known reason.
        TopicRefused: Kafka refuses the topic to this client.
    """
    outage = Outage(quiet=True)
    admin = AdminClient(properties, error_cb=outage.on_error, logger=client_logger())
    try:
        if not await _exists(admin, topic, timeout_seconds):
            await _create(admin, topic, timeout_seconds)
    except KafkaException as error:
        kafka_error = error.args[0]
        if kafka_error.code() not in _NO_ANSWER:
            raise TopicRefused(f"Kafka refuses topic {topic!r}: {kafka_error.str()}") from error
        reason = outage.reason or readable(kafka_error.str())
        raise KafkaUnavailable(
            f"Kafka at {properties['bootstrap.servers']} can't be reached within {timeout_seconds:g} s: {reason}"
        ) from error


async def _exists(admin: AdminClient, topic: str, timeout_seconds: float) -> bool:
    answers = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_seconds)
    try:
        await _answer(admin, answers[topic])
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return False
    return True


async def _create(admin: AdminClient, topic: str, timeout_seconds: float) -> None:
    answers = admin.create_topics([NewTopic(topic)], request_timeout=timeout_seconds)
    try:
        await _answer(admin, answers[topic])
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


async def _answer(admin: AdminClient, future: Future[object]) -> None:
    """Wait for an admin call, serving the client's errors and log lines meanwhile."""
    while not future.done():
        admin.poll(0)
        await asyncio.sleep(_SERVE_SECONDS)
    admin.poll(0)
    future.result()
