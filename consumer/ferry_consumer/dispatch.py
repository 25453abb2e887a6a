"""From records to one script call a partition, and what a refusal or a lost reply means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError

from ferry_consumer.batcher import Batcher
from ferry_consumer.kafka_message import bytes_beside_value, headers_of, record_of, timestamp_ms
from ferry_consumer.plain_run import MAX_RUN_MESSAGES, plain_run
from ferry_shared.countdown import due_ms_of
from ferry_shared.decode import checked
from ferry_shared.errors import InvalidRecord
from ferry_shared.ledger.dispatches import Delayed, Dispatch, Invalid
from ferry_shared.ledger.keys import Token
from ferry_shared.record import group_suffix, next_offset
from ferry_shared.replay import replay_of
from ferry_shared.stored_retry import StoredRetry
from ferry_shared.task_message import body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from ferry_consumer.kafka_message import Headers
    from ferry_consumer.partition import Partition, Tenure
    from ferry_shared.ledger.consumer_ledger import Refused
    from ferry_shared.routes import Route
    from ferry_shared.settings import ConsumerSettings

#: A script call holds the server up while it runs, so a call is bounded (ledger.md: 4 MiB).
MAX_CALL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """What makes a record invalid that its model accepts: the size of its value, and a delay that is too long.

    `batch_messages`: at most so many in one Celery message, unless the route says otherwise.
    """

    record_bytes: int
    countdown_seconds: float
    batch_messages: int = 1

    @classmethod
    def of(cls, settings: ConsumerSettings) -> DispatchLimits:
        """Take them from the settings."""
        return cls(
            settings.consumer_max_record_bytes, settings.consumer_max_countdown_seconds, settings.consumer_batch_size
        )

    def batch_messages_of(self, route: Route) -> int:
        """How many messages of this route go into one Celery message at most."""
        return route.batch_size or self.batch_messages


def dispatches_of(
    partition: Partition, messages: Sequence[Message], now_ms: int, limits: DispatchLimits
) -> list[Dispatch]:
    """Turn what was fetched from a partition, in order, into dispatch calls; usually one.

    Invalid records become entries with an error; the records themselves stay in `partition.invalid` for their dead
    letter. Offsets below the expected position were dispatched before and are passed over, and so are replays for
    another group, which are counted.
    """
    tenure = partition.tenure
    if tenure is None:
        return []
    builder = _Builder(partition, tenure, now_ms, limits)
    builder.add_all(messages)
    return builder.finish()


class _Builder:
    """Collects entries and cuts a call where it would get too large."""

    def __init__(self, partition: Partition, tenure: Tenure, now_ms: int, limits: DispatchLimits) -> None:
        self._partition = partition
        self._tenure = tenure
        self._now_ms = now_ms
        self._limits = limits
        token = str(Token(tenure.ownership.epoch, 1))
        most = limits.batch_messages_of(partition.place.route)
        self._batcher = Batcher(tenure.template, token, now_ms, most)
        self._calls: list[Dispatch] = []
        self._expected = self._next = partition.following
        self._delayed: list[Delayed] = []
        self._invalid: list[Invalid] = []
        self._waiting_bytes = 0
        self._passed_over = 0

    def add_all(self, messages: Sequence[Message]) -> None:
        """Take plain records a run at a time, and each other one by itself."""
        headers = [headers_of(message) for message in messages]
        start = 0
        while start < len(messages):
            end = start + MAX_RUN_MESSAGES
            taken = self._add_run(messages[start:end], headers[start:end])
            start += taken
            if taken == 0:
                self._add(messages[start], headers[start])
                start += 1

    def _add_run(self, messages: Sequence[Message], headers: Sequence[Headers]) -> int:
        """Take as many of the first ones as are plain; returns how many."""
        place = self._partition.place
        if place.route.countdown_field is not None or (messages[0].offset() or 0) < self._next:
            return 0
        run = plain_run(messages, headers, place.adapter, self._limits.record_bytes)
        if run.offsets:
            self._batcher.add_run(run)
            self._next = next_offset(run.offsets[-1])
            self._cut_if_full()
        return len(run.offsets)

    def _add(self, message: Message, headers: Headers) -> None:
        offset = message.offset()
        if offset is None or offset < self._next:
            return
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._next = offset
            return
        self._next = next_offset(offset)
        if headers and self._is_for_another_group(headers, offset):
            self._batcher.close()
            self._passed_over += 1
            return
        place = self._partition.place
        try:
            found = checked(message.value(), place.adapter, self._limits.record_bytes)
            due_ms = self._due_ms(message, found.message)
        except InvalidRecord as error:
            self._batcher.close()
            self._partition.remember_invalid(record_of(message, headers))
            self._invalid.append(Invalid(str(offset), str(error)))
            return
        if due_ms is None:
            self._batcher.add(offset, timestamp_ms(message), found.value, bytes_beside_value(message, headers))
        else:
            self._wait(message, offset, body_of(found.value), due_ms)
        self._cut_if_full()

    def _due_ms(self, message: Message, found: Any) -> int | None:
        field = self._partition.place.route.countdown_field
        if field is None:
            return None
        longest, sent_ms = self._limits.countdown_seconds, timestamp_ms(message)
        return due_ms_of(found, field, sent_ms=sent_ms, now_ms=self._now_ms, longest_seconds=longest)

    def _is_for_another_group(self, headers: Headers, offset: int) -> bool:
        """Whether a dead letter of another group was sent again as this record."""
        replayed = replay_of(headers, self._partition.topic_partition, offset)
        return replayed is not None and group_suffix(replayed.group) != self._tenure.template.suffix

    def _wait(self, message: Message, offset: int, body: bytes, due_ms: int) -> None:
        """Before its time it waits in the ledger."""
        self._batcher.close()
        stored = StoredRetry(body, timestamp_ms(message), retries=0).to_bytes()
        self._delayed.append(Delayed(str(offset), due_ms, stored))
        self._waiting_bytes += len(stored)

    def _cut_if_full(self) -> None:
        if self._batcher.bytes + self._waiting_bytes >= MAX_CALL_BYTES:
            self._cut()

    def _cut(self) -> None:
        place = self._partition.place
        last = self._next - 1
        call = Dispatch(
            place=place.topic_partition,
            keys=place.keys,
            queue_key=place.queue_key,
            ownership=self._tenure.ownership,
            expected=self._expected,
            next=self._next,
            last=last,
            queued=self._batcher.take(),
            invalid=self._invalid,
            passed_over=self._passed_over,
            delayed=self._delayed,
        )
        self._calls.append(call)
        self._expected, self._delayed, self._invalid = self._next, [], []
        self._waiting_bytes = self._passed_over = 0

    def finish(self) -> list[Dispatch]:
        if self._next > self._expected:
            self._cut()
        return self._calls


def still_unanswered(call: Dispatch, refused: Refused, unanswered: Sequence[Dispatch]) -> list[Dispatch] | None:
    """Judge the refusal of one of the calls that were sent: which remain to be sent, None when recovery must decide.

    A lost reply is not a refusal: with our own epoch, a position at the end of one of the calls means that this call
    and those before it did happen. A position at the beginning of the first: that one met a server that was full, and
    this one was refused for its sake.
    """
    if (refused.ledger, refused.epoch) != (call.ownership.ledger, call.ownership.epoch):
        return None
    if refused.position == unanswered[0].expected and call is not unanswered[0]:
        return list(unanswered)
    for index, sent in enumerate(unanswered):
        if refused.position == sent.next:
            return list(unanswered[index + 1 :])
    return None
