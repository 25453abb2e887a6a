"""`Publisher`: messages into Kafka from asyncio.

async with Publisher(settings) as publisher:
    await publisher.send(Message(text="hello"))
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException, Producer

from ferry_producer.client_events import Outage, client_logger
from ferry_producer.connection import ensure_topic
from ferry_producer.delivery import Delivered, NotDelivered
from ferry_producer.outbox import Outbox
from ferry_producer.properties import checked_topic, producer_properties
from ferry_shared.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pydantic import BaseModel

    from ferry_producer.delivery import Outcome, Settle
    from ferry_shared.settings import ProducerSettings

    #: Name and value; names may repeat.
    Headers = Sequence[tuple[str, bytes]]

#: How long messages already handed over may still be acknowledged after an error or a signal.
STOP_FLUSH_SECONDS = 5.0


class Publisher:
    """Sends messages to one topic; `send` waits for Kafka's acknowledgement, `enqueue` only for room."""

    def __init__(self, settings: ProducerSettings, *, topic: str | None = None) -> None:
        """Check the settings; nothing is sent or reached before `open`.

        Raises:
            ConfigurationError: they contradict each other.
        """
        self._settings = settings
        self._properties = producer_properties(settings)
        self._topic = (
            checked_topic(settings.ferry_topic, "FERRY_TOPIC") if topic is None else checked_topic(topic, "topic")
        )
        self._outbox: Outbox | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close: after an error, what Kafka has not acknowledged within 5 s is given up."""
        await self.close(None if error is None else STOP_FLUSH_SECONDS)

    @property
    def topic(self) -> str:
        """Where messages go."""
        return self._topic

    @property
    def pending(self) -> int:
        """Messages handed over and not yet acknowledged."""
        return self._outbox.pending if self._outbox else 0

    async def open(self) -> None:
        """Reach Kafka and create the topic if it is missing.

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
        self._outbox = Outbox(client, self._settings.producer_max_pending_messages, outage.on_answer)

    async def send(
        self, message: BaseModel | bytes, *, key: str | bytes | None = None, headers: Headers = ()
    ) -> Delivered:
        """Send one message, a model or bytes that go unchanged, and wait until Kafka acknowledged it.

        Raises:
            NotDelivered: it did not.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settle(result: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(result)

        await self.enqueue(message, settle, key=key, headers=headers)
        result = await outcome
        if isinstance(result, Delivered):
            return result
        raise NotDelivered(result)

    async def enqueue(
        self, message: BaseModel | bytes, settle: Settle, *, key: str | bytes | None = None, headers: Headers = ()
    ) -> None:
        """Hand one message over, waiting only for room; `settle` is called once on the event loop, with the outcome."""
        if self._outbox is None:
            raise RuntimeError("this publisher is not open")
        value = message if isinstance(message, bytes) else message.model_dump_json().encode()
        key = key.encode() if isinstance(key, str) else key
        await self._outbox.put(self._topic, value, key, list(headers), settle)

    async def flush(self) -> None:
        """Wait until every message has its outcome."""
        if self._outbox is not None:
            await self._outbox.emptied()

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Wait for outstanding acknowledgements, then give up the rest (each is settled) and let go of Kafka."""
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
