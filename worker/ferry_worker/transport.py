"""kombu's Redis transport, with a worker that outlives a restart of Redis.

After a lost connection Celery 5.7 closes the old channel a second time, and tasks that were running acknowledge on it
later. kombu has dropped the old transport's address by then, and both end the worker: "Unrecoverable error:
AttributeError: 'NoneType' object has no attribute 'hostname'". Redis has no channels, an acknowledgement is a deletion
by tag: with the address kept, the old channel connects again and acknowledges what it delivered.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

#: What `broker_transport` and the worker's banner say.
TRANSPORT_NAME = "ferry-redis"


class Transport(redis.Transport):
    """Keeps the connection's address when kombu drops it."""

    _address: Any = None

    @property
    def client(self) -> Any:
        """The kombu connection with address and options."""
        return self._address

    @client.setter
    def client(self, connection: Any) -> None:
        if connection is not None:
            self._address = connection


def register_transport() -> str:
    """Make the transport known to kombu by its name, and return that."""
    TRANSPORT_ALIASES[TRANSPORT_NAME] = f"{__name__}:{Transport.__name__}"
    return TRANSPORT_NAME
