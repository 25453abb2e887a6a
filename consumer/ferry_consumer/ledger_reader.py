"""Reads the ledger at every tick, also when idle, and does what follows: commits, pauses, attention."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from ferry_consumer.commit import Signature, to_commit
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger import consumer_ledger
from ferry_shared.ledger.client import is_passing
from ferry_shared.ledger.consumer_ledger import Refused, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_consumer.attention import Attention
    from ferry_consumer.intake import Intake
    from ferry_consumer.partition import Partition, Tenure
    from ferry_consumer.server_clock import ServerClock
    from ferry_consumer.standing_pauses import StandingPauses
    from ferry_shared.record import TopicPartition

log = logging.getLogger("ferry.consumer")

#: Entries that need attention, a partition and tick: the next tick takes the next ones.
ATTENTION_LIMIT = 500
#: Reading records again, all partitions together, must not keep the loop from its commits.
READ_SECONDS_A_TICK = 1.0


class LedgerReader:
    """Takes snapshots; commits are computed from them and from nothing else."""

    def __init__(
        self,
        client: redis.Redis,
        intake: Intake,
        attention: Attention,
        server_clock: ServerClock,
        pauses: StandingPauses,
    ) -> None:
        self._client = client
        self._intake = intake
        self._attention = attention
        self._server_clock = server_clock
        self._pauses = pauses

    def read(self, partitions: Mapping[TopicPartition, Partition], *, last: bool = False) -> None:
        """Read every ledger in one round trip, then act on it; the `last` time only commit, and wait for that.

        Raises:
            KafkaUnavailable, RedisUnavailable: the rest follows at the next tick.
        """
        self._attention.settle(partitions)
        owned = [(partition, partition.tenure) for partition in partitions.values() if partition.tenure]
        if not owned:
            return
        calls = [(partition.place.keys, tenure.ownership) for partition, tenure in owned]
        replies = consumer_ledger.snapshot(self._client, calls, ATTENTION_LIMIT)
        sound: list[tuple[Partition, Tenure, Snapshot]] = []
        for (partition, tenure), reply in zip(owned, replies, strict=True):
            if isinstance(reply, Snapshot) and _trusted(partition, reply):
                sound.append((partition, tenure, reply))
                self._pauses.note(partition.place.keys, reply.pauses)
            else:
                _lose(partition, reply)
        self._commit(sound, wait=last)
        if last:
            # A dead letter that is written now is not cleared any more, and the next owner would write it again.
            return
        deadline = time.monotonic() + READ_SECONDS_A_TICK
        for partition, _, snapshot in sound:
            self._server_clock.set(snapshot.now_ms)
            self._attention.write_dead_letters(partition, snapshot, deadline)
        for partition, _, snapshot in sound:
            self._attention.divide_failed(partition, snapshot, deadline)
            self._attention.enqueue_retries(partition, snapshot)

    def _commit(self, sound: list[tuple[Partition, Tenure, Snapshot]], *, wait: bool) -> None:
        offsets: dict[TopicPartition, tuple[int, str]] = {}
        for partition, tenure, snapshot in sound:
            partition.note_snapshot(snapshot)
            offset = to_commit(snapshot, partition.committed)
            if offset is not None:
                offsets[partition.topic_partition] = (offset, str(_signature(tenure)))
        if wait:
            self._intake.commit_and_wait(offsets)
        else:
            self._intake.commit(offsets)

    def note_committed(self, partitions: Mapping[TopicPartition, Partition]) -> None:
        """Tell the ledger what Kafka has confirmed.

        A commit of an earlier tenure can be confirmed late, when the topic was made anew or truncated meanwhile.
        """
        for place, confirmed in self._intake.take_committed().items():
            partition = partitions.get(place)
            tenure, offset = partition.tenure if partition else None, confirmed.offset
            if partition is None or tenure is None or confirmed.metadata != str(_signature(tenure)):
                continue
            if offset <= partition.committed:
                continue
            partition.committed = offset
            if consumer_ledger.committed(self._client, partition.place.keys, tenure.ownership, offset):
                partition.committed_in_ledger = offset


def _signature(tenure: Tenure) -> Signature:
    return Signature(tenure.ownership.ledger, tenure.topic_id, tenure.ownership.epoch)


def _trusted(partition: Partition, snapshot: Snapshot) -> bool:
    """A restored Redis can have our epoch with another position or an old commit, or counts that don't match.

    A dispatch whose reply was lost may have moved the position to its end.
    """
    positions = {partition.expected, *(call.next for call in partition.unanswered)}
    went_back = snapshot.committed < partition.committed_in_ledger
    return snapshot.sound and not went_back and snapshot.position in positions


def _lose(partition: Partition, reply: Snapshot | Refused | Exception) -> None:
    """End the tenure over a snapshot that can't be trusted.

    Raises:
        RedisUnavailable: the server can't answer now, which says nothing about the ledger.
    """
    if isinstance(reply, RedisError) and is_passing(reply):
        raise RedisUnavailable(f"Redis: {reply}")
    log.warning("%s: the ledger is not as it was left, acquiring it again", partition.topic_partition)
    partition.lose()
