"""`Publisher`: messages into Kafka from asyncio.

async with Publisher(settings) as publisher:
    await publisher.send(Message(text="hello"))
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from ferry_producer.channel import Channel
from ferry_producer.delivery import Delivered, NotDelivered, Settle
from ferry_producer.recipients import EachSettled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pydantic import BaseModel

    from ferry_producer.delivery import Outcome

    #: Name and value; names may repeat.
    Headers = Sequence[tuple[str, bytes]]

#: How long messages already handed over may still be acknowledged after an error or a signal.
STOP_FLUSH_SECONDS = 5.0


class Publisher(Channel[Settle]):
    """Sends messages to one topic; `send` waits for Kafka's acknowledgement, `enqueue` only for room."""

    async def __aenter__(self) -> Self:
        """Open."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close: after an error, what Kafka has not acknowledged within 5 s is given up."""
        await self.close(None if error is None else STOP_FLUSH_SECONDS)

    async def open(self) -> None:
        """Reach Kafka and create the topic if it is missing.

        Raises:
            ConfigurationError: librdkafka refuses a property.
            KafkaUnavailable: no answer within PRODUCER_CONNECT_TIMEOUT_SECONDS.
            TopicRefused: Kafka answers, but the topic can't be used.
        """
        await self.reach(EachSettled())

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
        await self._outbox.put(list(headers), (settle, value, key))
