"""Take a partition up: gather the facts, let `resume.plan` decide, acquire the ledger, sign the start, seek."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ferry_consumer.added_partitions import AddedPartitions
from ferry_consumer.commit import Signature
from ferry_consumer.partition import Partition, Tenure
from ferry_consumer.resume import Committed, Facts, Plan, Reason, is_signed, plan, went_back
from ferry_consumer.turns import Backoff
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger import dispatches
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.consumer_ledger import Acquired, Inspection, acquire, inspect
from ferry_shared.ledger.keys import unacked_key
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.task_message import TaskTemplate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_consumer.intake import Intake
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.server_clock import ServerClock
    from ferry_consumer.standing_pauses import StandingPauses
    from ferry_consumer.topics import Identity, Topics
    from ferry_shared.ledger.client import LedgerClient
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

#: A partition that Kafka can't serve is tried again after this; the others go on.
AGAIN_AFTER_SECONDS = 1.0
REPEAT_AFTER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Answers:
    """What Kafka said of one partition: an error, or None for a log range, where it couldn't tell."""

    committed: Committed | KafkaUnavailable | None
    log_range: tuple[int, int] | None
    identity: Identity | KafkaUnavailable

    def sound(self, place: TopicPartition) -> tuple[Committed | None, tuple[int, int], Identity]:
        """All that is needed; raises KafkaUnavailable for what is missing."""
        if isinstance(self.identity, KafkaUnavailable):
            raise self.identity
        if isinstance(self.committed, KafkaUnavailable):
            raise self.committed
        if self.log_range is None:
            raise KafkaUnavailable(f"Kafka does not say what {place} holds, it has no leader")
        return self.committed, self.log_range, self.identity


@dataclass(frozen=True, slots=True)
class _Taken:
    """A partition whose ledger is ours; its start is still to be signed, unless it is."""

    partition: Partition
    wanted: Plan
    acquired: Acquired
    identity: Identity
    is_signed: bool

    @property
    def start(self) -> tuple[int, str]:
        """What to commit: offset and metadata."""
        owner = self.acquired.ownership
        return self.wanted.committed, str(Signature(owner.ledger, self.identity.topic_id, owner.epoch))


class Recovery:
    """Acquires partitions. Whatever fails on the way leaves the partition without a tenure, to be tried again."""

    def __init__(
        self,
        settings: ConsumerSettings,
        client: LedgerClient,
        intake: Intake,
        topics: Topics,
        metrics: Metrics,
        server_clock: ServerClock,
        pauses: StandingPauses,
    ) -> None:
        self._settings = settings
        self._client = client
        self._intake = intake
        self._topics = topics
        self._metrics = metrics
        self._server_clock = server_clock
        self._pauses = pauses
        self._added = AddedPartitions(settings, client, intake, topics)
        self._kafka_away = Backoff(settings.consumer_max_backoff_seconds)
        self._told: dict[TopicPartition, float] = {}

    def take_up(self, partitions: list[Partition]) -> None:
        """Acquire each of them; one of which Kafka can't tell enough now, or whose ledger somebody else just changed,
        is tried again later.

        Raises:
            RedisUnavailable: to be tried again.
            ConfigurationError: another Kafka cluster uses the same keys, or Redis refuses to know a script.
        """
        dispatches.make_known(self._client)
        # In this order: `acquire` is refused if a successor has changed a ledger since it was read, so whatever else is
        # known must be younger; and a topic's id is older than its range, or a new topic would begin at the old one's.
        seen = [inspect(self._client, partition.place.keys) for partition in partitions]
        try:
            answers = self._ask_kafka([partition.topic_partition for partition in partitions])
        except KafkaUnavailable as error:
            self._kafka_away.failed()
            for partition in partitions:
                self._wait_for(partition, error, self._kafka_away.seconds_left)
            return
        self._kafka_away.worked()
        self._server_clock.set(server_time_ms(self._client))
        taken: list[_Taken] = []
        for partition, inspection in zip(partitions, seen, strict=True):
            try:
                taken += self._acquire(partition, inspection, answers[partition.topic_partition])
            except KafkaUnavailable as error:
                self._wait_for(partition, error)
        refused = self._sign(taken)
        for each in taken:
            self._begin(each, refused.get(each.partition.topic_partition))

    def _ask_kafka(self, places: list[TopicPartition]) -> dict[TopicPartition, _Answers]:
        identities = self._topics.identities(dict.fromkeys(place.topic for place in places))
        commits, ranges = self._intake.committed(places), self._log_ranges(places)
        self._intake.prove_membership(commits)
        return {place: _Answers(commits[place], ranges.get(place), identities[place.topic]) for place in places}

    def _log_ranges(self, places: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Kafka answers for none at all where none of those that are asked for has a leader."""
        try:
            return self._topics.log_ranges(places)
        except KafkaUnavailable as error:
            log.debug("%s", error)
            return {}

    def _wait_for(self, partition: Partition, error: KafkaUnavailable, seconds: float = AGAIN_AFTER_SECONDS) -> None:
        partition.postpone(seconds)
        place, now = partition.topic_partition, time.monotonic()
        if now - self._told.get(place, -REPEAT_AFTER_SECONDS) >= REPEAT_AFTER_SECONDS:
            self._told[place] = now
            log.warning("%s; %s is tried again, the other partitions go on", error, place)

    def _acquire(self, partition: Partition, seen: Inspection, answers: _Answers) -> list[_Taken]:
        place = partition.topic_partition
        committed, log_range, identity = answers.sound(place)
        if self._intake.has_lost(place):
            return []
        if went_back(seen, partition.highest_epoch, partition.expected, partition.committed_in_ledger):
            self._pauses.write_again(partition.place.keys, seen.pauses)
        else:
            self._pauses.note(partition.place.keys, seen.pauses)
        wanted = plan(self._facts(partition, committed, seen, identity, log_range))
        first_time = wanted.reason is Reason.FRESH
        acquired = acquire(
            self._client,
            partition.place.keys,
            seen,
            ledger=wanted.ledger or uuid4().hex[:16],
            epoch_floor=wanted.epoch_floor,
            position=wanted.position,
            committed=wanted.committed,
            cluster_id=identity.cluster_id,
            topic_id=identity.topic_id,
            drop=wanted.drop,
            drop_from=wanted.drop_from,
            rewound=wanted.rewound,
            counted=partition.counted,
            partitions=self._added.count(place) if first_time else seen.partitions,
        )
        if not isinstance(acquired, Acquired):
            log.warning("%s: the ledger changed while it was being acquired, trying again", place)
            return []
        partition.note_acquired(acquired)
        return [_Taken(partition, wanted, acquired, identity, is_signed(committed, wanted))]

    def _facts(
        self,
        partition: Partition,
        committed: Committed | None,
        seen: Inspection,
        identity: Identity,
        log_range: tuple[int, int],
    ) -> Facts:
        # With `earliest` an added partition starts where any other would: nothing needs to be asked.
        reset = self._settings.consumer_offset_reset
        new_here = reset == "latest" and committed is None and seen.head is None
        return Facts(
            committed,
            seen,
            identity.cluster_id,
            identity.topic_id,
            *log_range,
            reset,
            new_here and self._added.contains(partition.topic_partition),
            partition.highest_epoch,
            partition.reached,
            self._server_clock.now_ms() // 1000,
        )

    def _sign(self, taken: Sequence[_Taken]) -> dict[TopicPartition, KafkaUnavailable]:
        """Commit the resolved starts at once, before anything is dispatched from them: an operator's unsigned offset
        that was still there at the next acquisition would count as a second rewind. Returns those that failed."""
        unsigned = {each.partition.topic_partition: each.start for each in taken if not each.is_signed}
        try:
            refused = self._intake.commit_and_wait(unsigned)
        except KafkaUnavailable as error:
            return dict.fromkeys(unsigned, error)
        return {place: KafkaUnavailable(f"Kafka: signing {place}: {why}") for place, why in refused.items()}

    def _begin(self, taken: _Taken, unsigned: KafkaUnavailable | None) -> None:
        partition, place = taken.partition, taken.partition.place
        if self._intake.has_lost(place.topic_partition):
            return
        if unsigned:
            self._wait_for(partition, unsigned)
            return
        acquired = taken.acquired
        template = TaskTemplate(
            place.route, self._settings.consumer_group, place.topic_partition, acquired.ownership.ledger
        )
        unacked = unacked_key(self._settings.ferry_key_prefix)
        transport = Transport(place.queue_key, unacked, template.stem, template.suffix)
        tenure = Tenure(acquired.ownership, taken.identity.topic_id, template, transport)
        try:
            self._intake.seek(place.topic_partition, acquired.position)
        except KafkaUnavailable as error:
            self._wait_for(partition, error)
            return
        partition.start(tenure, acquired.position, acquired.committed, acquired.messages)
        self._metrics.acquisitions.labels(taken.wanted.reason.name.lower()).inc()
        self._metrics.lost_to_retention.labels(place.topic_partition.topic).inc(taken.wanted.lost_to_retention)
        _tell(partition, taken.wanted, acquired)


def _tell(partition: Partition, wanted: Plan, acquired: Acquired) -> None:
    fields = {
        "topic": partition.topic_partition.topic, "partition": partition.topic_partition.partition,
        "offset": acquired.position, "reason": wanted.reason.name.lower(), "entries": acquired.entries,
        "dropped": acquired.dropped, "rewound": wanted.rewound,
    }  # fmt: skip
    log.info(
        "%s: from offset %d (%s), %d in flight%s", partition.topic_partition, acquired.position, wanted.reason.value,
        acquired.entries, f", {wanted.rewound} offsets again" if wanted.rewound else "", extra=fields,
    )  # fmt: skip
    if acquired.dropped:
        log.warning("%s: %d entries of the ledger dropped", partition.topic_partition, acquired.dropped)
    if wanted.lost_to_retention:
        log.error(
            "%s: Kafka deleted %d records before they were dispatched; expected a longer retention",
            partition.topic_partition, wanted.lost_to_retention,
        )  # fmt: skip
    if wanted.truncated:
        log.error(
            "%s: Kafka's log ends %d records before the position: it was truncated",
            partition.topic_partition, wanted.truncated,
        )  # fmt: skip
