"""A group's state as Redis has it, and the tasks of its topics."""

from __future__ import annotations

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
    from ferry_console.status.group_status import GroupStatus
    from ferry_shared.settings import ConsumerSettings

MOST_OLDEST = 10


class RedisSource:
    """Asks Redis; the routes are read once."""

    def __init__(self, client: redis.Redis, settings: ConsumerSettings, group: str) -> None:
        self._client = client
        self._settings = settings
        self._group = group

    def status(self) -> GroupStatus:
        """How far each partition is."""
        return read_group(self._client, self._settings, self._group)

    def oldest(self) -> InFlight:
        """What is in flight longest."""
        return read_in_flight(self._client, self._settings, self._group, Wanted(MOST_OLDEST))

    def tasks(self) -> Mapping[str, str]:
        """The task of each topic; none where the routes can't be read here."""
        return self._tasks

    @cached_property
    def _tasks(self) -> Mapping[str, str]:
        try:
            return {route.topic: route.task for route in load_routes(self._settings)}
        except ConfigurationError:
            return {}
