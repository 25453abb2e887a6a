"""Ask Redis how far a drain is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.operating.draining import DrainLook, partition_look
from ferry_console.status.group_status import silent_after_seconds, task_id_of
from ferry_shared.ledger.group_view import find_places, view_ledgers
from ferry_shared.record import TopicPartition
from ferry_shared.status import read_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import redis

    from ferry_shared.settings import ConsumerSettings
    from ferry_shared.status import PartitionStatus

#: How long Redis' keys are searched for ledgers, once.
SEARCH_SECONDS = 5.0


class DrainReader:
    """Looks at a group again and again."""

    def __init__(self, client: redis.Redis, settings: ConsumerSettings) -> None:
        """Find the group's partitions: those with a ledger, and those of which a consumer has told; `complete` is
        False when Redis has too many keys to search them all.

        Raises:
            RedisUnavailable: Redis could not be reached.
        """
        self._client = client
        self._place = (settings.ferry_key_prefix, settings.consumer_group)
        self._silent_after = silent_after_seconds(settings.consumer_status_interval_seconds)
        found, self.complete = find_places(client, *self._place, SEARCH_SECONDS)
        self._places = {*found, *(TopicPartition(word.topic, word.partition) for word in self._words())}

    @property
    def topics(self) -> list[str]:
        """The topics of which the group has anything."""
        return sorted({place.topic for place in self._places})

    def look(self, targets: Sequence[str], paused_ms: Mapping[str, int]) -> DrainLook:
        """Look at the partitions of the targets (`topic` or `topic:partition`); `paused_ms` is when each was paused.

        Raises:
            RedisUnavailable: Redis could not be reached.
        """
        words = {TopicPartition(word.topic, word.partition): word for word in self._words()}
        self._places |= words.keys()
        places = sorted(place for place in self._places if any(_covers(target, place) for target in targets))
        views = view_ledgers(self._client, *self._place, places)
        return DrainLook(
            tuple(
                partition_look(
                    place,
                    view,
                    words.get(place),
                    task_id_of(self._place[1], place, view.lowest),
                    paused_ms=min((at for target, at in paused_ms.items() if _covers(target, place)), default=0),
                    silent_after_seconds=self._silent_after,
                )
                for place, view in zip(places, views, strict=True)
            )
        )

    def _words(self) -> Iterable[PartitionStatus]:
        return read_status(self._client, *self._place)


def _covers(target: str, place: TopicPartition) -> bool:
    return target in {place.topic, f"{place.topic}:{place.partition}"}
