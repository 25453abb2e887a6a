"""Ask Redis for a group's status: what consumers wrote, the pauses, and every ledger as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.status.group_status import group_status, silent_after_seconds
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.group_view import find_places, view_ledgers
from ferry_shared.ledger.listening import read_listening
from ferry_shared.ledger.pauses import read_pauses
from ferry_shared.record import TopicPartition
from ferry_shared.status import read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_console.status.group_status import GroupStatus
    from ferry_shared.settings import ConsumerSettings
    from ferry_shared.status import PartitionStatus

#: How long Redis' keys are searched for ledgers when no consumer has written which partitions there are.
SEARCH_SECONDS = 2.0


def read_group(client: redis.Redis, settings: ConsumerSettings, group: str) -> GroupStatus:
    """Read a group's status, without Kafka.

    Raises:
        RedisUnavailable: Redis could not be reached.
        ConfigurationError: the key of the pauses holds something else.
    """
    prefix = settings.ferry_key_prefix
    words = read_status(client, prefix, group)
    places, complete = _places(client, prefix, group, words)
    ledgers = dict(zip(places, view_ledgers(client, prefix, group, places), strict=True))
    return group_status(
        group,
        server_time_ms(client),
        ledgers,
        words,
        read_pauses(client, prefix, group),
        silent_after_seconds(settings.consumer_status_interval_seconds),
        listening=read_listening(client, prefix),
        complete=complete,
    )


def known_places(client: redis.Redis, settings: ConsumerSettings, group: str) -> tuple[list[TopicPartition], bool]:
    """Tell a group's partitions, and whether these are surely all: Redis may have too many keys to search.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    prefix = settings.ferry_key_prefix
    return _places(client, prefix, group, read_status(client, prefix, group))


def _places(
    client: redis.Redis, prefix: str, group: str, words: Sequence[PartitionStatus]
) -> tuple[list[TopicPartition], bool]:
    if words:
        return [TopicPartition(word.topic, word.partition) for word in words], True
    return find_places(client, prefix, group, SEARCH_SECONDS)
