"""Kafka's side of the loop: take what has arrived, follow rebalances, pause, seek, commit.

One thread: librdkafka runs the rebalance callbacks inside `poll` and `consume`, so nothing here needs a lock.
"""

from __future__ import annotations

import logging
import time
from threading import Thread
from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from ferry_consumer.client import created
from ferry_consumer.client_log import LOG_LEVEL_CRITICAL, ClientLog, is_fatal
from ferry_consumer.resume import Committed
from ferry_shared.errors import ConfigurationError, FerryError, KafkaUnavailable
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from confluent_kafka import Message

    from ferry_consumer.partition import Partition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

REQUEST_TIMEOUT_SECONDS = 5.0
LEAVE_TIMEOUT_SECONDS = 5.0
#: librdkafka hands an answer over during a poll, and returns from that only at its end.
ANSWER_POLL_SECONDS = 0.01
#: Less memory than librdkafka takes by itself (64 MiB), and no second of waiting once that is full.
FETCHING_AHEAD = {"queued.max.messages.kbytes": 16_384, "fetch.queue.backoff.ms": 10}
_REPORTED_ELSEWHERE = frozenset({KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET})


class Intake:
    """The group member. What rebalances do is collected until the loop takes it up."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._newly_assigned: list[TopicPartition] = []
        self._gone: list[TopicPartition] = []
        self.joined = False
        self._max_messages = settings.consumer_intake_max_messages
        self._early: list[Message] = []
        self._interrupted: set[TopicPartition] = set()
        self._commit_under_way = False
        self._commit_error: KafkaError | None = None
        self._refused: dict[TopicPartition, str] = {}
        self._committed: dict[TopicPartition, Committed] = {}
        self.client_log = ClientLog()
        callbacks = {"on_commit": self._on_commit, "error_cb": self.client_log.note}
        self._consumer = created(confluent_kafka.Consumer, _properties(settings) | callbacks)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group. The topics must be there: librdkafka looks for a missing one again only after 5 minutes."""
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def take(self, timeout_seconds: float, linger_seconds: Callable[[], float] = lambda: 0.0) -> list[Message]:
        """Wait for a record, then drain what has arrived with it; rebalance and commit callbacks run in here.

        `consume(n, t)` alone would wait for n records or the whole t: so it does after the first one, to linger as long
        as `linger_seconds` says then.

        Raises:
            ConfigurationError, FerryError: the client has met an error that no waiting mends.
        """
        first = self._consumer.poll(0.0 if self._early else timeout_seconds)
        if self.client_log.fatal:
            raise_if_serious(self.client_log.fatal)
        early, self._early = self._early, []
        if first is None:
            return early
        taken = [*early, first]
        more = self._max_messages - len(taken)
        if more <= 0:
            return taken
        # The end of a partition is no record.
        seconds = linger_seconds() if first.error() is None else 0.0
        return [*taken, *self._consumer.consume(more, seconds)]

    def take_newly_assigned(self) -> list[TopicPartition]:
        """Partitions that this member got since the last call; they are paused."""
        places, self._newly_assigned = self._newly_assigned, []
        return places

    def take_gone(self) -> list[TopicPartition]:
        """Partitions that this member lost since the last call."""
        places, self._gone = self._gone, []
        return places

    def take_interrupted(self) -> set[TopicPartition]:
        """Partitions that are paused since the last call for what came of them while an answer was waited for."""
        places, self._interrupted = self._interrupted, set()
        return places

    def pause(self, places: Iterable[TopicPartition]) -> None:
        """Stop fetching; heartbeats go on."""
        paused = list(places)
        self._consumer.pause(_kafka(paused))
        self._drop_early(paused)

    def resume(self, places: Iterable[TopicPartition]) -> None:
        """Fetch again."""
        self._consumer.resume(_kafka(places))

    def go_on(self, partition: Partition) -> None:
        """Fetch a partition again, from its expected position: records may have been passed over meanwhile.

        In this order: a sleeping librdkafka notices a resume after up to a second, and a seek at once.

        Raises:
            KafkaUnavailable: it stays as it is, to be tried again.
        """
        place = partition.topic_partition
        self.resume([place])
        try:
            self.seek(place, partition.expected)
        except KafkaUnavailable:
            self.pause([place])
            raise

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Continue a partition at `offset`.

        Raises:
            KafkaUnavailable: it stays where it is, to be tried again.
        """
        at = confluent_kafka.TopicPartition(place.topic, place.partition, offset)
        self._drop_early([place])
        try:
            self._consumer.seek(at)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise KafkaUnavailable(f"Kafka: seek in {place}: {error.args[0].str()}") from error
            self._fetch_anew(at)

    def _fetch_anew(self, at: confluent_kafka.TopicPartition) -> None:
        """With `auto.offset.reset=error` librdkafka stops fetching at an offset that Kafka doesn't have, for good: it
        seeks no more in that partition until that is assigned again. What is paused stays paused."""
        try:
            self._consumer.incremental_unassign([at])
            self._consumer.incremental_assign([at])
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: fetching {at.topic}-{at.partition} anew: {error.args[0].str()}") from error

    def has_lost(self, place: TopicPartition) -> bool:
        """Tell whether a partition was revoked while an answer was waited for: `take_gone` will say so too."""
        return place in self._gone

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | KafkaUnavailable | None]:
        """Read the group's commits; where Kafka answers for a partition with an error, that stands in the answer.

        Raises:
            KafkaUnavailable: the coordinator did not answer.
        """
        try:
            found = self._consumer.committed(_kafka(places), timeout=REQUEST_TIMEOUT_SECONDS)
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: reading committed offsets: {error.args[0].str()}") from error
        return {_ours(item): _commit_of(item) for item in found}

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit offsets with their metadata, unless an earlier commit is under way: at most one is.

        `take_committed` tells what Kafka has confirmed.

        Raises:
            KafkaUnavailable: the client could not send it.
        """
        if offsets and not self._commit_under_way:
            self._send_commit(offsets)

    def commit_and_wait(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> dict[TopicPartition, str]:
        """Commit, and wait for the answer; returns why Kafka refuses those partitions that it refuses.

        librdkafka's own synchronous commit waits for as long as the coordinator stands still, whatever its timeouts.
        Waiting here runs rebalance callbacks; records that arrive are for the next `take`, as many as one takes.

        Raises:
            KafkaUnavailable: Kafka refused all of it, or did not answer in time; it may still take the commit later.
            ConfigurationError, FerryError: the client has met an error that no waiting mends.
        """
        if not offsets:
            return {}
        deadline = time.monotonic() + REQUEST_TIMEOUT_SECONDS
        self._await_answer(deadline)
        self._send_commit(offsets)
        self._await_answer(deadline)
        if error := self._commit_error:
            if is_fatal(error):
                raise_if_serious(error)
            raise KafkaUnavailable(f"Kafka: committing: {error.str()}")
        return self._refused

    def _send_commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        commits = [
            confluent_kafka.TopicPartition(place.topic, place.partition, offset, metadata)
            for place, (offset, metadata) in offsets.items()
        ]
        try:
            self._consumer.commit(offsets=commits, asynchronous=True)
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka: committing: {error.args[0].str()}") from error
        self._commit_under_way, self._commit_error, self._refused = True, None, {}

    def _await_answer(self, deadline: float) -> None:
        while self._commit_under_way:
            if time.monotonic() >= deadline:
                raise KafkaUnavailable("Kafka: committing: the group's coordinator does not answer")
            if message := self._consumer.poll(ANSWER_POLL_SECONDS):
                self._early.append(message)
                if len(self._early) > self._max_messages:
                    self._interrupt()

    def _interrupt(self) -> None:
        """More has come than is taken in at once: what it is of is paused, to go on where it was."""
        places = {
            TopicPartition(topic, partition)
            for each in self._early
            if (topic := each.topic()) is not None and (partition := each.partition()) is not None
        }
        self._interrupted |= places
        self.pause(places)

    def _drop_early(self, places: Collection[TopicPartition]) -> None:
        """As librdkafka drops what it has fetched of a partition that is paused, sought, or revoked."""
        self._early = [each for each in self._early if (each.topic(), each.partition()) not in places]

    def prove_membership(self, commits: Mapping[TopicPartition, Committed | KafkaUnavailable | None]) -> None:
        """Commit again what was read, unchanged: Kafka takes it only from a member of the group's present generation.

        A consumer that was thought dead must not take a ledger from its successor before it learns of its loss.

        Raises:
            KafkaUnavailable: it isn't one, or Kafka did not answer.
        """
        self.commit_and_wait(
            {
                place: (item.offset, item.metadata or "")
                for place, item in commits.items()
                if isinstance(item, Committed)
            }
        )

    def take_committed(self) -> dict[TopicPartition, Committed]:
        """What Kafka has confirmed since the last call, with the metadata under which it was sent."""
        confirmed, self._committed = self._committed, {}
        return confirmed

    def close(self) -> None:
        """Leave the group (a static member stays until it is replaced or times out).

        librdkafka waits for a commit that is under way, without end while the coordinator stands still: then the
        member is not taken off, and its session ends by itself.
        """
        leaving = Thread(target=self._consumer.close, name="leave-group", daemon=True)
        leaving.start()
        leaving.join(LEAVE_TIMEOUT_SECONDS)
        if leaving.is_alive():
            log.warning("Kafka does not answer: the group learns at the session's end that this consumer has left")

    def _on_assign(self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
        """Only take note: the loop finds out where to start, so that Redis being away blocks nobody's rebalance."""
        self.joined = True
        consumer.incremental_assign(
            [confluent_kafka.TopicPartition(item.topic, item.partition, 0) for item in partitions]
        )
        consumer.pause(partitions)
        self._newly_assigned += map(_ours, partitions)

    def _on_revoke(self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
        places = [_ours(item) for item in partitions]
        self._gone += places
        for place in places:
            self._committed.pop(place, None)
        self._newly_assigned = [place for place in self._newly_assigned if place not in places]
        self._drop_early(places)
        consumer.incremental_unassign(partitions)

    def _on_commit(self, error: KafkaError | None, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self._commit_under_way, self._commit_error = False, error
        if error:
            log.warning("Kafka did not take a commit, trying again: %s", error.str())
            return
        for item in partitions:
            if item.error:
                self._refused[_ours(item)] = item.error.str()
                log.warning("Kafka did not take the commit of %s-%d: %s", item.topic, item.partition, item.error.str())
            else:
                self._committed[_ours(item)] = Committed(item.offset, item.metadata)


def raise_if_serious(error: KafkaError) -> None:
    """Judge an error that came in a record's place: what passes is logged, what doesn't stops the consumer.

    Raises:
        ConfigurationError: another consumer has the same CONSUMER_INSTANCE_ID, or Kafka refuses access.
        FerryError: a fatal error of the client.
    """
    code = error.code()
    if code in _REPORTED_ELSEWHERE:
        return
    if is_fatal(error) and "fenced" in error.str():
        raise ConfigurationError(
            "CONSUMER_INSTANCE_ID: another consumer of this group has started with the same value; "
            "expected one of its own for each consumer"
        )
    if code in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}:
        raise ConfigurationError(f"Kafka refuses access: {error.str()}; expected the right to read topic and group")
    if is_fatal(error):
        raise FerryError(f"Kafka's client has stopped: {error.str()}")
    log.warning("Kafka: %s", error.str())


def _ours(item: confluent_kafka.TopicPartition) -> TopicPartition:
    return TopicPartition(item.topic, item.partition)


def _commit_of(item: confluent_kafka.TopicPartition) -> Committed | KafkaUnavailable | None:
    if item.error:
        return KafkaUnavailable(f"Kafka: reading the commit of {_ours(item)}: {item.error.str()}")
    return Committed(item.offset, item.metadata) if item.offset >= 0 else None


def _kafka(places: Iterable[TopicPartition]) -> list[confluent_kafka.TopicPartition]:
    return [confluent_kafka.TopicPartition(place.topic, place.partition) for place in places]


def _properties(settings: ConsumerSettings) -> dict[str, object]:
    """librdkafka's properties; those after the user's are the ones that the promises rest on."""
    ours: dict[str, object] = {
        "client.id": "ferry-consumer",
        "session.timeout.ms": settings.consumer_session_timeout_ms,
        "heartbeat.interval.ms": settings.consumer_session_timeout_ms // 4,
        "isolation.level": "read_committed",
        "reconnect.backoff.max.ms": 2_000,
    } | FETCHING_AHEAD
    fixed: dict[str, object] = {
        "group.id": settings.consumer_group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "log_level": LOG_LEVEL_CRITICAL,
    }
    static = {"group.instance.id": settings.consumer_instance_id} if settings.consumer_instance_id else {}
    return ours | settings.client_properties() | fixed | static
