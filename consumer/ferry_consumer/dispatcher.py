"""Sends dispatches to the ledger and settles their replies: happened, to be sent again, or a case for recovery."""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError
from redis.exceptions import RedisError

from ferry_consumer.dispatch import DispatchLimits, dispatches_of, still_unanswered
from ferry_consumer.intake import raise_if_serious
from ferry_consumer.linger import Linger
from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.ledger import dispatches
from ferry_shared.ledger.client import is_passing
from ferry_shared.ledger.consumer_ledger import Refused
from ferry_shared.ledger.dispatches import Dispatched
from ferry_shared.record import TaskId, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from ferry_consumer.dead_letter_limit import DeadLetterLimit
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.partition import Partition
    from ferry_consumer.server_clock import ServerClock
    from ferry_consumer.standing_pauses import StandingPauses
    from ferry_shared.ledger.client import LedgerClient
    from ferry_shared.ledger.dispatches import Dispatch, SentDispatches
    from ferry_shared.settings import ConsumerSettings
    from ferry_shared.task_message import TaskTemplate

log = logging.getLogger("ferry.consumer")


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is under way, in order, and since when (s, of time.monotonic)."""

    dispatches: SentDispatches
    calls: Sequence[tuple[Partition, Dispatch]]
    at: float


class Dispatcher:
    """Takes fetched records in, and sends what they became."""

    def __init__(
        self,
        settings: ConsumerSettings,
        client: LedgerClient,
        metrics: Metrics,
        server_clock: ServerClock,
        pauses: StandingPauses,
        limit: DeadLetterLimit,
    ) -> None:
        self._group = settings.consumer_group
        self._limits = DispatchLimits.of(settings)
        self._client = client
        self._metrics = metrics
        self._server_clock = server_clock
        self._pauses = pauses
        self._limit = limit
        self._under_way: deque[_Sent] = deque()
        self._linger = Linger()

    def accept(
        self, messages: Sequence[Message], partitions: Mapping[TopicPartition, Partition], *, blocked: bool
    ) -> None:
        """Turn records into dispatches of their partitions. A partition that can't take them now is sought back later.

        Raises:
            ConfigurationError, FerryError: an error came in a record's place that no waiting mends.
        """
        now_ms = self._server_clock.now_ms()
        drained: dict[str, list[Partition]] = defaultdict(list)
        for place, batch in _by_partition(messages).items():
            partition = partitions.get(place)
            if partition is None:
                continue
            if batch.is_out_of_range:
                # Retention or a truncation has taken the position away: where to go on is for recovery to decide.
                partition.lose()
            in_doubt = partition.unanswered and not self.is_waiting
            if partition.tenure is None or in_doubt or not partition.fetching or blocked:
                continue
            partition.prepared = dispatches_of(partition, batch.messages, now_ms, self._limits)
            drained[place.topic].append(partition)
        for topic, its_partitions in drained.items():
            self._admit(topic, its_partitions)

    def _admit(self, topic: str, partitions: Sequence[Partition]) -> None:
        """Let a drain of a topic pass, or past the dead-letter limit hold all of it back and pause the topic."""
        excess = self._limit.exceeded_by(topic, [call for partition in partitions for call in partition.prepared])
        if excess is None:
            return
        task_id = TaskId(self._group, *excess.place, int(excess.member), int(excess.member)).text
        why = (
            f"{excess.invalid} of its last {excess.records} records were invalid, "
            f"mostly {excess.reason}, such as {task_id}"
        )
        self._pauses.want(topic, why)
        self._limit.start_anew(topic)
        for partition in partitions:
            partition.hold_back()
        log.error(
            "%s: %s: intake stops before more of them become dead letters, nothing is lost; "
            "correct the sender or the model, then: ferry resume %s", topic, why, topic, extra={"task_id": task_id},
        )  # fmt: skip

    @property
    def is_waiting(self) -> bool:
        """Whether something was sent whose replies are not read yet."""
        return bool(self._under_way)

    def linger_seconds(self, partitions: Iterable[Partition]) -> float:
        """How long to wait for more records to go with the first one; routes that delay by a field don't count."""
        return self._linger.seconds(
            {
                partition.place.queue_key
                for partition in partitions
                if partition.fetching and partition.place.route.countdown_field is None
            }
        )

    def send(self, partitions: Iterable[Partition]) -> None:
        """Send what is prepared, all partitions in one go, then read the replies to what was sent before.

        In this order, so that Redis has the next dispatches when it is through with the last ones. What is in doubt
        goes first; nothing is while something is under way.

        Raises:
            RedisUnavailable: what happened is unknown; it is judged when the same dispatches are sent again.
        """
        calls: list[tuple[Partition, Dispatch]] = []
        for partition in partitions:
            for call in partition.prepared:
                self._metrics.records.labels(call.place.topic).inc(call.valid + len(call.invalid))
            in_doubt = [] if self.is_waiting else partition.unanswered
            calls += [(partition, call) for call in (*in_doubt, *partition.prepared)]
            partition.note_sent()
        if calls:
            self._send(calls)
        self.settle(leaving=1 if calls else 0)

    def _send(self, calls: Sequence[tuple[Partition, Dispatch]]) -> None:
        behind = self._under_way[-1].dispatches if self._under_way else None
        try:
            sent = dispatches.send_dispatches(self._client, [call for _, call in calls], behind)
        except RedisUnavailable:
            # What is under way has gone with the connection.
            self.settle()
            raise
        self._under_way.append(_Sent(sent, calls, time.monotonic()))

    def settle(self, leaving: int = 0) -> None:
        """Read the replies to what was sent, `leaving` so many of the last sends under way, and do what follows.

        Raises:
            RedisUnavailable: what happened is unknown, and nothing is under way any more; it is judged when the same
                dispatches are sent again.
        """
        failure: RedisUnavailable | None = None
        while len(self._under_way) > (0 if failure else leaving):
            try:
                self._settle_next()
            except RedisUnavailable as error:
                failure = failure or error
        if failure:
            raise failure

    def _settle_next(self) -> None:
        sent = self._under_way.popleft()
        replies = sent.dispatches.replies()
        settled: list[tuple[TaskTemplate, Dispatch]] = []
        for (partition, call), reply in zip(sent.calls, replies, strict=True):
            tenure = partition.tenure
            if tenure is None or tenure.ownership != call.ownership:
                # It was lost since, and perhaps acquired again.
                continue
            settled += [(tenure.template, each) for each in _settle(partition, call, reply)]
        self._note_waiting(sent, replies)
        self._tell(settled, time.monotonic() - sent.at)
        if passing := [reply for reply in replies if isinstance(reply, RedisError) and is_passing(reply)]:
            raise RedisUnavailable(f"Redis: {passing[0]}")

    def _note_waiting(self, sent: _Sent, replies: Sequence[Dispatched | Refused | Exception]) -> None:
        """For the next linger: what these dispatches have found waiting."""
        entries: dict[TopicPartition, int] = {}
        queues: dict[str, tuple[int, int]] = {}
        for (partition, call), reply in zip(sent.calls, replies, strict=True):
            if not isinstance(reply, Dispatched):
                continue
            if self._limits.batch_messages_of(partition.place.route) > 1:
                entries.setdefault(call.place, reply.entries - call.entries)
            if not call.queued:
                # It says nothing of how fast messages come.
                continue
            before, _ = queues.get(call.queue_key, (reply.queue_length - len(call.queued), 0))
            queues[call.queue_key] = before, reply.queue_length
        if entries:
            self._linger.note_entries(sum(entries.values()), sent.at)
        for queue, (before, after) in queues.items():
            self._linger.note_queue(queue, before, after, sent.at)

    def _tell(self, settled: Sequence[tuple[TaskTemplate, Dispatch]], seconds: float) -> None:
        self._metrics.dispatch_seconds.observe(seconds)
        for _, call in settled:
            self._metrics.dispatched.labels(call.place.topic).inc(call.messages)
            self._metrics.invalid.labels(call.place.topic).inc(len(call.invalid))
            self._metrics.others_replays.labels(call.place.topic).inc(call.passed_over)
            if call.passed_over:
                log.info(
                    "%s: %d dead letters of other groups, sent again, passed over up to offset %d",
                    call.place, call.passed_over, call.last,
                )  # fmt: skip
        if delayed := sum(len(call.delayed) for _, call in settled):
            log.info("delayed %d: waiting in the ledger for their time", delayed)
        filled = [(template, call.queued) for template, call in settled if call.queued]
        if not filled:
            return
        (first_template, first_entries), (last_template, last_entries) = filled[0], filled[-1]
        first, last = first_template.task_id(first_entries[0].member), last_template.task_id(last_entries[-1].member)
        count = sum(call.messages for _, call in settled)
        log.info("dispatched %d in %.1f ms: %s", count, seconds * 1000, first if first == last else f"{first} … {last}")
        if log.isEnabledFor(logging.DEBUG):
            for template, entries in filled:
                for entry in entries:
                    log.debug("dispatched", extra={"task_id": template.task_id(entry.member)})


def _settle(partition: Partition, call: Dispatch, reply: Dispatched | Refused | Exception) -> Sequence[Dispatch]:
    """Apply one reply; returns the dispatches that have happened by it."""
    if isinstance(reply, Dispatched):
        return partition.note_dispatched(call)
    if isinstance(reply, Refused):
        remaining = still_unanswered(call, reply, partition.unanswered)
        if remaining is None:
            log.warning("%s: the ledger has moved on, acquiring it again", partition.topic_partition)
            partition.lose()
        elif len(remaining) < len(partition.unanswered):
            return partition.note_dispatched(call)
    elif str(reply).startswith(f"WRONGTYPE {call.queue_key} "):
        raise ConfigurationError(f"The queue can't be used: {reply}; expected a queue name that nothing else uses")
    elif not (isinstance(reply, RedisError) and is_passing(reply)):
        log.error("%s: the ledger is damaged: %s", partition.topic_partition, reply)
        partition.lose()
    return ()


@dataclass(slots=True)
class _Fetched:
    """What was taken of one partition; out of range: the position that was asked for isn't there any more."""

    messages: list[Message] = field(default_factory=list)
    is_out_of_range: bool = False


def _by_partition(messages: Sequence[Message]) -> dict[TopicPartition, _Fetched]:
    found: dict[tuple[str | None, int | None], _Fetched] = defaultdict(_Fetched)
    for message in messages:
        fetched = found[message.topic(), message.partition()]
        fetched.messages.append(message)
        if (error := message.error()) is not None:
            raise_if_serious(error)
            fetched.is_out_of_range |= error.code() == KafkaError._AUTO_OFFSET_RESET
    return {
        TopicPartition(topic, partition): fetched
        for (topic, partition), fetched in found.items()
        if topic is not None and partition is not None
    }
