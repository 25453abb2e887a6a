"""One topic of Kafka and its outbox: what every publisher reaches, flushes and closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic

from confluent_kafka import KafkaException, Producer

from ferry_producer.client_events import Outage, client_logger
from ferry_producer.connection import ensure_topic
from ferry_producer.outbox import Outbox, Token
from ferry_producer.properties import checked_topic, producer_properties
from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from ferry_producer.outbox import Recipient
    from ferry_shared.settings import ProducerSettings


class Channel(Generic[Token]):
    """One topic, and the outbox of what is sent there once it is reached."""

    def __init__(self, settings: ProducerSettings, *, topic: str | None = None) -> None:
        """Check the settings; nothing is sent or reached yet.

        Raises:
            ConfigurationError: they contradict each other.
        """
        self._settings = settings
        self._properties = producer_properties(settings)
        self._topic = (
            checked_topic(settings.ferry_topic, "FERRY_TOPIC") if topic is None else checked_topic(topic, "topic")
        )
        self._outbox: Outbox[Token] | None = None

    @property
    def topic(self) -> str:
        """Where messages go."""
        return self._topic

    @property
    def pending(self) -> int:
        """Messages handed over and not yet acknowledged."""
        return self._outbox.pending if self._outbox else 0

    async def reach(self, recipient: Recipient[Token]) -> Outbox[Token]:
        """Reach Kafka and create the topic if it is missing; `recipient` is told what becomes of messages.

        Raises:
            ConfigurationError: librdkafka refuses a property.
            KafkaUnavailable: no answer within PRODUCER_CONNECT_TIMEOUT_SECONDS.
            TopicRefused: Kafka answers, but the topic can't be used.
        """
        outage = Outage(quiet=True)
        try:
            client = Producer({**self._properties, "error_cb": outage.on_error}, logger=client_logger())
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"librdkafka refuses its configuration: {_sentence(error)}") from error
        await ensure_topic(
            self._settings.client_properties(), self._topic, self._settings.producer_connect_timeout_seconds
        )
        # What the client met before Kafka answered is no news any more.
        client.poll(0)
        outage.quiet = False
        most = self._settings.producer_max_pending_messages
        self._outbox = Outbox(client, self._topic, most, recipient, outage.on_answer)
        return self._outbox

    async def flush(self) -> None:
        """Wait until every message has its outcome."""
        if self._outbox is not None:
            await self._outbox.emptied()

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Wait for outstanding acknowledgements, then give up the rest (each is told) and let go of Kafka."""
        outbox, self._outbox = self._outbox, None
        if outbox is None:
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await outbox.emptied()
        except TimeoutError:
            pass
        finally:
            outbox.abandon()


def _sentence(error: Exception) -> str:
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)
