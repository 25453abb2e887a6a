"""Take a partition up: gather the facts, let `resume.plan` decide, acquire the ledger, sign the start, seek."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from ferry_consumer.added_partitions import AddedPartitions
from ferry_consumer.commit import Signature
from ferry_consumer.partition import Partition, Tenure
from ferry_consumer.resume import Committed, Facts, Plan, Reason, is_signed, plan, went_back
from ferry_consumer.task_message import TaskTemplate
from ferry_shared.errors import KafkaUnavailable
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.consumer_ledger import Acquired, Inspection, acquire, inspect
from ferry_shared.ledger.keys import unacked_key
from ferry_shared.ledger.redelivery import Transport

if TYPE_CHECKING:
    import redis

    from ferry_consumer.intake import Intake
    from ferry_consumer.metrics import Metrics
    from ferry_consumer.server_clock import ServerClock
    from ferry_consumer.standing_pauses import StandingPauses
    from ferry_consumer.topics import Identity, Topics
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

log = logging.getLogger("ferry.consumer")

#: A partition that Kafka can't serve is tried again after this; the others go on.
AGAIN_AFTER_SECONDS = 1.0
REPEAT_AFTER_SECONDS = 30.0


class Recovery:
    """Acquires partitions. Whatever fails on the way leaves the partition without a tenure, to be tried again."""

    def __init__(
        self,
        settings: ConsumerSettings,
        client: redis.Redis,
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
        self._told: dict[TopicPartition, float] = {}

    def take_up(self, partitions: list[Partition]) -> None:
        """Acquire each of them; one whose ledger somebody else just changed stays for the next turn.

        Raises:
            KafkaUnavailable, RedisUnavailable: none of them could be; to be tried again.
            ConfigurationError: another Kafka cluster uses the same keys.
        """
        places = [partition.topic_partition for partition in partitions]
        # In this order: `acquire` is refused if a successor has changed a ledger since it was read, so whatever else is
        # known must be younger; and a topic's id is older than its range, or a new topic would begin at the old one's.
        seen = [inspect(self._client, partition.place.keys) for partition in partitions]
        identities = {topic: self._identity(topic) for topic in dict.fromkeys(place.topic for place in places)}
        commits, ranges = self._intake.committed(places), self._log_ranges(places)
        self._intake.prove_membership(commits)
        self._server_clock.set(server_time_ms(self._client))
        for partition, inspection in zip(partitions, seen, strict=True):
            place = partition.topic_partition
            log_range, identity = ranges.get(place), identities[place.topic]
            if isinstance(identity, KafkaUnavailable):
                self._wait_for(partition, identity)
                continue
            if log_range is None:
                self._wait_for(partition, KafkaUnavailable(f"Kafka does not say what {place} holds, it has no leader"))
                continue
            try:
                self._take_up(partition, inspection, commits[place], log_range, identity)
            except KafkaUnavailable as error:
                self._wait_for(partition, error)

    def _log_ranges(self, places: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Kafka answers for none at all where none of those that are asked for has a leader."""
        try:
            return self._topics.log_ranges(places)
        except KafkaUnavailable as error:
            log.debug("%s", error)
            return {}

    def _identity(self, topic: str) -> Identity | KafkaUnavailable:
        """One topic without an answer must not hold up the others."""
        try:
            return self._topics.identity(topic)
        except KafkaUnavailable as error:
            return error

    def _wait_for(self, partition: Partition, error: KafkaUnavailable) -> None:
        partition.postpone(AGAIN_AFTER_SECONDS)
        place, now = partition.topic_partition, time.monotonic()
        if now - self._told.get(place, -REPEAT_AFTER_SECONDS) >= REPEAT_AFTER_SECONDS:
            self._told[place] = now
            log.warning("%s; %s is tried again, the other partitions go on", error, place)

    def _take_up(
        self,
        partition: Partition,
        seen: Inspection,
        committed: Committed | None,
        log_range: tuple[int, int],
        identity: Identity,
    ) -> None:
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
            partitions=self._added.count(partition.topic_partition) if first_time else seen.partitions,
        )
        if not isinstance(acquired, Acquired):
            log.warning("%s: the ledger changed while it was being acquired, trying again", partition.topic_partition)
            return
        partition.note_acquired(acquired)
        self._sign(partition, wanted, acquired, committed, identity)
        self._begin(partition, wanted, acquired, identity)

    def _facts(
        self,
        partition: Partition,
        committed: Committed | None,
        seen: Inspection,
        identity: Identity,
        log_range: tuple[int, int],
    ) -> Facts:
        new_here = committed is None and seen.head is None
        return Facts(
            committed,
            seen,
            identity.cluster_id,
            identity.topic_id,
            *log_range,
            self._settings.consumer_offset_reset,
            new_here and self._added.contains(partition.topic_partition),
            partition.highest_epoch,
            partition.reached,
        )

    def _sign(
        self, partition: Partition, wanted: Plan, acquired: Acquired, committed: Committed | None, identity: Identity
    ) -> None:
        """Commit the resolved start at once, before anything is dispatched from it: an operator's unsigned offset
        that was still there at the next acquisition would count as a second rewind."""
        if is_signed(committed, wanted):
            return
        signature = Signature(acquired.ownership.ledger, identity.topic_id, acquired.ownership.epoch)
        self._intake.commit({partition.topic_partition: (wanted.committed, str(signature))}, wait=True)

    def _begin(self, partition: Partition, wanted: Plan, acquired: Acquired, identity: Identity) -> None:
        place = partition.place
        template = TaskTemplate(
            place.route, self._settings.consumer_group, place.topic_partition, acquired.ownership.ledger
        )
        unacked = unacked_key(self._settings.ferry_key_prefix)
        transport = Transport(place.queue_key, unacked, template.stem, template.suffix)
        tenure = Tenure(acquired.ownership, identity.topic_id, template, transport)
        self._intake.seek(place.topic_partition, acquired.position)
        partition.start(tenure, acquired.position, acquired.committed, acquired.entries)
        self._metrics.acquisitions.labels(wanted.reason.name.lower()).inc()
        self._metrics.lost_to_retention.labels(place.topic_partition.topic).inc(wanted.lost_to_retention)
        _tell(partition, wanted, acquired)


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
