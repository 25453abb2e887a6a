"""Messages on their way to Kafka: a bounded number, of each is told once what became of it.

Everything runs on the event loop's thread. librdkafka sends from threads of its own and keeps its delivery
reports until `poll`; a timer serves them, so no lock is needed and no Python thread competes for the interpreter.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException

from ferry_producer.delivery import Undelivered
from ferry_producer.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message as KafkaMessage

    #: Names may repeat (KIP-82); the client wants a list.
    Headers = list[tuple[str, str | bytes | None]]
    #: A token, a value and a key.
    Record = tuple["Token", bytes, bytes | None]
    OnDelivery = Callable[[KafkaError | None, KafkaMessage], None]

#: What a message is known by to whoever handed it over.
Token = TypeVar("Token")
Token_contra = TypeVar("Token_contra", contravariant=True)

logger = logging.getLogger("ferry.producer")

#: How often delivery reports are served: while messages wait for one, and otherwise (for errors and log lines).
BUSY_SECONDS = 0.001
IDLE_SECONDS = 0.1
#: The longest wait for the delivery reports of messages given up; they are made locally, at once.
PURGE_SECONDS = 5.0

#: librdkafka's RD_KAFKA_PARTITION_UA: its partitioner chooses.
_ANY_PARTITION = -1
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
        partition: int,
        callback: OnDelivery,
        /,
        *,
        headers: Headers = ...,
    ) -> None:
        """Queue one message; BufferError when the queue is full, KafkaException when it is refused."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports, errors and log lines."""

    def purge(self) -> None:
        """Give up what is queued and in flight; each gets its delivery report."""


class Recipient(Protocol[Token_contra]):
    """Whom an outbox tells what became of each message, by the token it was handed over with."""

    def delivered(self, token: Token_contra, message: KafkaMessage) -> None:
        """Kafka's client reports it as delivered; a report isn't to be kept, it holds a copy of the value."""

    def undelivered(self, token: Token_contra, outcome: Undelivered) -> None:
        """It isn't."""

    def reported(self) -> None:
        """Those were all reports for now."""


class Outbox(Generic[Token]):
    """At most `max_pending` messages that Kafka has not acknowledged yet."""

    def __init__(
        self, client: Client, topic: str, max_pending: int, recipient: Recipient[Token], on_answer: Callable[[], None]
    ) -> None:
        self._client = client
        self._topic = topic
        self._recipient = recipient
        self._delivered = recipient.delivered
        self._on_answer = on_answer
        self._answered = False
        #: The token of each message of which nothing is told yet, by the message's number.
        self._waiting: dict[int, Token] = {}
        self._numbers = count()
        self._slots = Slots(max_pending)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(IDLE_SECONDS, self._serve)

    @property
    def pending(self) -> int:
        """Messages without an outcome."""
        return len(self._waiting)

    def offer(self, headers: Headers, records: Sequence[Record[Token]]) -> int:
        """Hand over as many of these messages as there is room for now, the first ones; returns how many."""
        room = self._slots.take(len(records))
        handed_over = self._hand_over(headers, records if room == len(records) else records[:room])
        self._slots.release(room - handed_over)
        return handed_over

    async def put(self, headers: Headers, record: Record[Token]) -> None:
        """Hand one message over, waiting for room behind those who wait already."""
        await self._slots.acquire()
        try:
            while not self._hand_over(headers, (record,)):
                await self.room()
        except BaseException:
            self._slots.release()
            raise

    async def room(self) -> None:
        """Wait until delivery reports, which alone make room, were served."""
        await asyncio.sleep(BUSY_SECONDS)

    async def emptied(self) -> None:
        """Wait until every message has its outcome, those of senders who wait for room as well."""
        while not self._slots.all_free:
            await self.room()

    def abandon(self) -> None:
        """Tell of what is still without an outcome that it is undelivered, and stop."""
        self._timer.cancel()
        if self._waiting:
            try:
                self._client.purge()
            except KafkaException as error:
                logger.warning("messages can't be given up: %s", error.args[0].str())
        deadline = self._loop.time() + PURGE_SECONDS
        while self._waiting and self._loop.time() < deadline:
            self._poll(0.1)
        untold = tuple(self._waiting)
        for number in untold:
            self._recipient.undelivered(self._waiting.pop(number), _UNKNOWN)
        self._slots.release(len(untold))

    def _hand_over(self, headers: Headers, records: Sequence[Record[Token]]) -> int:
        """Use up a slot for each, until librdkafka's own queue is full; returns how many."""
        produce, topic, on_delivery, waiting = self._client.produce, self._topic, self._on_delivery, self._waiting
        # By name, or with headers that are empty, a call takes half as long again.
        produce = partial(produce, headers=headers) if headers else produce
        was_empty, handed_over = not waiting, 0
        for (token, value, key), number in zip(records, self._numbers, strict=False):
            try:
                produce(topic, value, key, _ANY_PARTITION, partial(on_delivery, number))
            except BufferError:
                if waiting:
                    break
                # It will never fit: nothing is in the queue but its limit by bytes is passed.
                self._refuse(token, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
            except KafkaException as error:
                self._refuse(token, error.args[0])
            else:
                # Delivery reports are served by this thread only: none has come yet.
                waiting[number] = token
            handed_over += 1
        if was_empty and waiting:
            self._begin_to_wait()
        return handed_over

    def _begin_to_wait(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(BUSY_SECONDS, self._serve)

    def _refuse(self, token: Token, error: KafkaError) -> None:
        self._recipient.undelivered(token, _undelivered(error))
        self._slots.release()

    def _serve(self) -> None:
        self._timer = self._loop.call_later(BUSY_SECONDS if self._waiting else IDLE_SECONDS, self._serve)
        self._poll(0)

    def _poll(self, timeout_seconds: float) -> None:
        before = len(self._waiting)
        try:
            self._client.poll(timeout_seconds)
        finally:
            # For all reports at once what needn't be done for each.
            if reported := before - len(self._waiting):
                self._recipient.reported()
                self._make_room(reported)

    def _make_room(self, number: int) -> None:
        self._slots.release(number)
        if self._answered:
            self._answered = False
            self._on_answer()

    def _on_delivery(self, number: int, error: KafkaError | None, message: KafkaMessage) -> None:
        try:
            token = self._waiting.pop(number)
        except KeyError:
            # It was given up before.
            return
        if error is None:
            self._answered = True
            self._delivered(token, message)
        else:
            self._recipient.undelivered(token, _undelivered(error))


def _undelivered(error: KafkaError) -> Undelivered:
    return Undelivered(
        _REASONS.get(error.code()) or error.str().removeprefix("Unable to produce message: "),
        refused=error.code() in _REFUSED,
    )
