"""A group's state as Redis and Kafka have it, and the tasks of its topics."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ferry_console.in_flight.flights import Wanted
from ferry_console.in_flight.reading import read_in_flight
from ferry_console.status.reading import read_group
from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import load_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from ferry_console.in_flight.flights import InFlight
    from ferry_console.page.log_ends import LogEnds
    from ferry_console.status.group_status import GroupStatus
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

MOST_OLDEST = 10


class LiveGroup:
    """Asks Redis, and Kafka for the ends of its logs; the routes are read once."""

    def __init__(self, client: redis.Redis, settings: ConsumerSettings, group: str, log_ends: LogEnds) -> None:
        self._client = client
        self._settings = settings
        self._group = group
        self._log_ends = log_ends

    def status(self) -> GroupStatus:
        """How far each partition is."""
        status = read_group(self._client, self._settings, self._group)
        told = [view.place for view in status.partitions if view.log_end is not None]
        return with_log_ends(status, self._log_ends.ask(told))

    def oldest(self) -> InFlight:
        """What is in flight longest."""
        return read_in_flight(self._client, self._settings, self._group, Wanted(MOST_OLDEST))

    def tasks(self) -> Mapping[str, str]:
        """The task of each topic; none where the routes can't be read here."""
        return self._tasks

    def rest(self) -> None:
        """Give connections to Kafka back."""
        self._log_ends.close()

    @cached_property
    def _tasks(self) -> Mapping[str, str]:
        try:
            return {route.topic: route.task for route in load_routes(self._settings)}
        except ConfigurationError:
            return {}


def with_log_ends(status: GroupStatus, ends: Mapping[TopicPartition, int]) -> GroupStatus:
    """A status with log ends of now, where they are known; what was dispatched since then lies below the end too."""
    views = (
        replace(view, log_end=max(view.log_end or 0, ends[view.place])) if view.place in ends else view
        for view in status.partitions
    )
    return replace(status, partitions=tuple(views))
