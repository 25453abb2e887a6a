"""Messages on their way to Kafka: a bounded number, each settled exactly once.

Everything runs on the event loop's thread. librdkafka sends from threads of its own and keeps its delivery
reports until `poll`; a timer serves them, so no lock is needed and no Python thread competes for the interpreter.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Protocol

from confluent_kafka import KafkaError, KafkaException

from ferry_producer.delivery import Delivered, Undelivered
from ferry_producer.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message as KafkaMessage

    from ferry_producer.delivery import Outcome, Settle

    #: Names may repeat (KIP-82); the client wants a list.
    Headers = list[tuple[str, str | bytes | None]]
    OnDelivery = Callable[[KafkaError | None, KafkaMessage], None]

logger = logging.getLogger("ferry.producer")

#: How often delivery reports are served: while messages wait for one, and otherwise (for errors and log lines).
BUSY_SECONDS = 0.001
IDLE_SECONDS = 0.1
#: The longest wait for the delivery reports of messages given up; they are made locally, at once.
PURGE_SECONDS = 5.0

#: This message can't be accepted, whoever asks and whenever.
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)
#: What a purge should have reported.
_UNKNOWN = Undelivered("given up, and Kafka's client didn't say what became of it (may be in the topic)", refused=False)
#: librdkafka's words say little to who never read its source.
_REASONS = {
    KafkaError._MSG_TIMED_OUT: "no answer within PRODUCER_DELIVERY_TIMEOUT_MS (may be in the topic)",
    KafkaError._PURGE_INFLIGHT: "given up while waiting for the answer (may be in the topic)",
    KafkaError._PURGE_QUEUE: "given up before it was sent",
}


class Client(Protocol):
    """What is needed of `confluent_kafka.Producer`."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        *,
        headers: Headers,
        on_delivery: OnDelivery,
    ) -> None:
        """Queue one message; BufferError when the queue is full, KafkaException when it is refused."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports, errors and log lines."""

    def purge(self) -> None:
        """Give up what is queued and in flight; each gets its delivery report."""


class Outbox:
    """At most `max_pending` messages that Kafka has not acknowledged yet."""

    def __init__(self, client: Client, max_pending: int, on_answer: Callable[[], None]) -> None:
        self._client = client
        self._on_answer = on_answer
        #: Whom to tell the outcome of each message that has none, by its number.
        self._waiting: dict[int, Settle] = {}
        self._numbers = count()
        self._slots = Slots(max_pending)
        self._empty = asyncio.Event()
        self._empty.set()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(IDLE_SECONDS, self._serve)

    @property
    def pending(self) -> int:
        """Messages without an outcome."""
        return len(self._waiting)

    async def put(self, topic: str, value: bytes, key: bytes | None, headers: Headers, settle: Settle) -> None:
        """Hand one message over, waiting for room; `settle` is called once, with its outcome."""
        await self._slots.acquire()
        number = next(self._numbers)
        try:
            await self._produce(topic, value, key, headers, partial(self._on_delivery, number))
        except KafkaException as error:
            self._slots.release()
            settle(_undelivered(error.args[0]))
        except BaseException:
            self._slots.release()
            raise
        else:
            # Delivery reports are served by this thread only: none has come yet.
            self._waiting[number] = settle
            if len(self._waiting) == 1:
                self._empty.clear()
                self._timer.cancel()
                self._timer = self._loop.call_later(BUSY_SECONDS, self._serve)

    async def _produce(
        self, topic: str, value: bytes, key: bytes | None, headers: Headers, on_delivery: OnDelivery
    ) -> None:
        while True:
            try:
                self._client.produce(topic, value, key, headers=headers, on_delivery=on_delivery)
            except BufferError:
                if not self._waiting:
                    # It will never fit: nothing is in the queue but its limit by bytes is passed.
                    raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)) from None
                # Only delivery reports make room.
                await asyncio.sleep(BUSY_SECONDS)
            else:
                return

    async def emptied(self) -> None:
        """Wait until every message has its outcome."""
        await self._empty.wait()

    def abandon(self) -> None:
        """Settle what is still without an outcome as undelivered, and stop."""
        self._timer.cancel()
        if self._waiting:
            try:
                self._client.purge()
            except KafkaException as error:
                logger.warning("messages can't be given up: %s", error.args[0].str())
        deadline = self._loop.time() + PURGE_SECONDS
        while self._waiting and self._loop.time() < deadline:
            self._client.poll(0.1)
        for number in tuple(self._waiting):
            self._settle(number, _UNKNOWN)

    def _serve(self) -> None:
        self._timer = self._loop.call_later(BUSY_SECONDS if self._waiting else IDLE_SECONDS, self._serve)
        self._client.poll(0)

    def _on_delivery(self, number: int, error: KafkaError | None, message: KafkaMessage) -> None:
        if error is None:
            self._on_answer()
        self._settle(number, _delivered(message) if error is None else _undelivered(error))

    def _settle(self, number: int, outcome: Outcome) -> None:
        settle = self._waiting.pop(number, None)
        if settle is None:
            # It was given up before.
            return
        self._slots.release()
        if not self._waiting:
            self._empty.set()
        settle(outcome)


def _delivered(message: KafkaMessage) -> Outcome:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    place = topic or "", -1 if partition is None else partition
    if offset is None or offset < 0:
        return Delivered(*place, None)
    return Delivered(*place, offset, message.latency())


def _undelivered(error: KafkaError) -> Undelivered:
    return Undelivered(
        _REASONS.get(error.code()) or error.str().removeprefix("Unable to produce message: "),
        refused=error.code() in _REFUSED,
    )
