"""The consumer: the parts, put together in the open, and the loop that moves every message one way.

One turn: take what Kafka has → acquire what was assigned → dispatch → read the ledger → commit, retry, dead-letter.
Everything runs in this one thread, rebalance callbacks included, so nothing here can race.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ferry_consumer.attention import Attention
from ferry_consumer.dead_letter_limit import DeadLetterLimit
from ferry_consumer.dead_letter_topics import check_names
from ferry_consumer.dead_letters import DeadLetters
from ferry_consumer.dispatcher import Dispatcher
from ferry_consumer.division import Division
from ferry_consumer.health import Health, HealthServer
from ferry_consumer.intake import Intake
from ferry_consumer.ledger_reader import LedgerReader
from ferry_consumer.memory_limit import MemoryLimit
from ferry_consumer.metrics import Metrics
from ferry_consumer.partition import Partition, Place
from ferry_consumer.pausing import Pausing
from ferry_consumer.record_reader import RecordReader
from ferry_consumer.recovery import Recovery
from ferry_consumer.recreated_topics import RecreatedTopics
from ferry_consumer.redelivery import Redelivery
from ferry_consumer.retention_watch import RetentionWatch
from ferry_consumer.server_clock import ServerClock
from ferry_consumer.server_watch import ServerWatch
from ferry_consumer.standing_pauses import StandingPauses
from ferry_consumer.status import StatusWriter
from ferry_consumer.topics import Topics
from ferry_consumer.trouble import Trouble
from ferry_consumer.turns import BLOCKED_POLL_SECONDS, Every, poll_seconds
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable, TransientError
from ferry_shared.ledger.client import connect, ping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_shared.record import TopicPartition
    from ferry_shared.routes import Route
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")


class Consumer:
    """A member of the consumer group. `run` returns after `stop`."""

    def __init__(self, settings: ConsumerSettings, routes: Sequence[Route]) -> None:
        check_names([route.topic for route in routes], settings.consumer_dead_letter_suffix)
        self._settings = settings
        self._routes = {route.topic: (route, route.adapter) for route in routes}
        self._stopping = False
        self._partitions: dict[TopicPartition, Partition] = {}
        self._metrics = Metrics()
        self._health = Health()
        self._trouble = Trouble(settings.consumer_max_backoff_seconds)
        self._client = connect(settings.ledger_url)
        self._topics = Topics(settings)
        self._intake = Intake(settings)
        self._reader = RecordReader(settings)
        self._dead_letters = DeadLetters(settings)
        clock = ServerClock()
        self._pauses = StandingPauses(settings, self._client)
        self._limit = DeadLetterLimit(
            settings.consumer_dead_letter_limit_ratio, settings.consumer_dead_letter_limit_run
        )
        self._memory_limit = MemoryLimit(self._client, settings.consumer_redis_memory_limit_ratio)
        self._pausing = Pausing(settings, self._intake, self._pauses, self._memory_limit)
        self._recovery = Recovery(
            settings, self._client, self._intake, self._topics, self._metrics, clock, self._pauses
        )
        self._dispatcher = Dispatcher(settings, self._client, self._metrics, clock, self._pauses, self._limit)
        division = Division(settings, self._client, self._reader, self._metrics, clock)
        attention = Attention(self._client, self._reader, self._dead_letters, self._metrics, clock, division)
        self._ledger = LedgerReader(self._client, self._intake, attention, clock, self._pauses)
        self._redelivery = Redelivery(settings, self._client, self._reader, self._metrics, clock, division)
        self._server_watch = ServerWatch(self._client)
        self._status = StatusWriter(settings, self._client, self._topics, self._metrics, self._health)
        self._retention = RetentionWatch(clock)
        self._recreated = RecreatedTopics(self._topics)
        self._snapshot_turn = Every(settings.consumer_snapshot_interval_ms / 1000)
        self._status_turn = Every(settings.consumer_status_interval_seconds)

    def stop(self) -> None:
        """Finish the turn, commit, leave. Safe from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped.

        Raises:
            ConfigurationError: another consumer has this one's instance id, another cluster these keys, or Kafka
                refuses access.
            FerryError: Kafka's client can't go on.
        """
        server = self._serve_health()
        try:
            self._create_topics()
            self._intake.subscribe(list(self._routes))
            while not self._stopping:
                self._turn()
            self._finish()
        finally:
            # The order matters: commits first (done above), then leave the group, then let go of the rest.
            self._intake.close()
            self._reader.close()
            if server:
                server.close()

    def _serve_health(self) -> HealthServer | None:
        if not self._settings.consumer_http_port:
            return None
        host, port = self._settings.consumer_http_host, self._settings.consumer_http_port
        return HealthServer(host, port, self._health, self._metrics)

    def _create_topics(self) -> None:
        while not self._stopping:
            self._health.last_turn = time.monotonic()
            if self._trouble.waiting:
                time.sleep(BLOCKED_POLL_SECONDS)
                continue
            try:
                self._topics.create_missing(list(self._routes))
            except KafkaUnavailable as error:
                self._trouble.met(error)
            else:
                self._trouble.over()
                return

    def _turn(self) -> None:
        self._health.last_turn = time.monotonic()
        timeout = poll_seconds(
            self._snapshot_turn.seconds_left, blocked=self._trouble.waiting, replies=self._dispatcher.is_waiting
        )
        messages = self._intake.take(timeout, lambda: self._dispatcher.linger_seconds(self._partitions.values()))
        self._follow_rebalance()
        self._dispatcher.accept(messages, self._partitions, blocked=self._trouble.waiting)
        if self._status_turn.is_due():
            self._look_at_topics()
        if self._trouble.waiting:
            return
        try:
            self._work()
        except TransientError as error:
            self._trouble.met(error)
            self._pausing.hold(self._partitions.values())
            for partition in self._partitions.values():
                partition.hold_back()
        else:
            self._trouble.over()

    def _work(self) -> None:
        """Everything that needs Redis or Kafka to answer. What fails is tried again at a later turn."""
        if self._trouble.lasting:
            # A turn that happens to need nothing from Redis would pass for its return.
            ping(self._client)
        self._server_watch.check()
        self._memory_limit.look()
        self._pauses.write()
        if self._snapshot_turn.is_due():
            # Before the dispatch: a full Redis refuses that, and is emptied by this.
            self._read_ledger()
        self._dispatcher.send(self._partitions.values())
        if lost := [partition for partition in self._partitions.values() if partition.is_to_be_acquired]:
            self._pausing.hold(lost)
            self._recovery.take_up(lost)
            if any(partition.tenure for partition in lost):
                # Who looks right after the start is not to read that nobody consumes.
                self._status_turn.again()
        self._redelivery.look(self._partitions.values())
        for field in self._pauses.take_lifted():
            self._limit.start_anew(field)
        self._pausing.apply(self._partitions.values())

    def _read_ledger(self) -> None:
        try:
            # What is under way would be counted by the snapshot, and by its reply once more.
            self._dispatcher.settle()
        except RedisUnavailable:
            self._snapshot_turn.again()
            raise
        self._ledger.note_committed(self._partitions)
        self._ledger.read(self._partitions)

    def _look_at_topics(self) -> None:
        """Now and then: tell how far each partition is, and see what has become of its topic."""
        log_ranges = self._status.write(self._partitions)
        self._retention.look(self._partitions.values(), log_ranges)
        if log_ranges:
            self._recreated.look(self._partitions.values())

    def _follow_rebalance(self) -> None:
        gone = self._intake.take_gone()
        for place in gone:
            self._partitions.pop(place, None)
        if gone:
            self._pauses.keep([partition.place.keys for partition in self._partitions.values()])
        for place in self._intake.take_newly_assigned():
            self._partitions[place] = Partition(self._place(place))
        self._health.assigned = self._intake.joined

    def _place(self, place: TopicPartition) -> Place:
        route, adapter = self._routes[place.topic]
        return Place.of(place, route, adapter, self._settings.ferry_key_prefix, self._settings.consumer_group)

    def _finish(self) -> None:
        """Intake has stopped: settle what is open; and commit what is done, also where a full Redis refuses that."""
        log.info("stopping: committing and leaving the group")
        for step in (self._end_dispatches, self._end_ledger):
            try:
                step()
            except TransientError as error:
                log.warning("%s: what is not committed now is found in the ledger at the next start", error)

    def _end_dispatches(self) -> None:
        self._dispatcher.send(self._partitions.values())
        self._dispatcher.settle()

    def _end_ledger(self) -> None:
        self._dead_letters.close()
        self._ledger.read(self._partitions, last=True)
        self._ledger.note_committed(self._partitions)
