"""kombu's Redis transport, with a worker that outlives a restart of Redis.

After a lost connection Celery 5.7 closes the old channel a second time, and tasks that were running acknowledge on it
later. kombu has dropped the old transport's address by then, and both end the worker: "Unrecoverable error:
AttributeError: 'NoneType' object has no attribute 'hostname'". Redis has no channels, an acknowledgement is a deletion
by tag: with the address kept, the old channel connects again and acknowledges what it delivered.

A channel that is closed hands back what it had reserved. With Redis away kombu tries that once and gives up, and those
tasks wait for the visibility timeout. Here they are handed back as soon as Redis answers, except for those that run,
and for those that another worker's sweep has handed back before and that have been taken again since.

A full Redis hands a message out and refuses to note that it was taken: that ends kombu's worker and loses the message.
Here it is noted all the same, so a full queue is worked off.
"""

from __future__ import annotations

import time
from typing import Any

from celery.worker import state
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import OutOfMemoryError

#: What `broker_transport` and the worker's banner say.
TRANSPORT_NAME = "ferry-redis"

#: KEYS: kombu's index of taken messages, the messages. ARGV: when it was taken, its delivery tag, the message.
NOTE_TAKEN = """#!lua flags=allow-oom
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
"""

#: Delivery tags of this process that could not be handed back, and since when (s since 1970, the clock of kombu's
#: index); tags are unique, so it need not say of which broker.
_left_behind: dict[str, float] = {}


class QoS(redis.QoS):
    """Notes what is taken on a full Redis too; hands back later what it can't hand back now."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message was taken."""
        try:
            super().append(message, delivery_tag)  # type: ignore[no-untyped-call]
        except OutOfMemoryError:
            self._note_taken(message, delivery_tag)
            virtual.QoS.append(self, message, delivery_tag)

    def _note_taken(self, message: Any, delivery_tag: str) -> None:
        delivery = message.delivery_info
        content = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])
        # kombu's client puts the prefix before the keys of the commands that kombu uses, and EVAL isn't one of them.
        keys = [self.channel.global_keyprefix + key for key in (self.unacked_index_key, self.unacked_key)]
        with self.channel.conn_or_acquire() as client:
            client.execute_command("EVAL", NOTE_TAKEN, len(keys), *keys, time.time(), delivery_tag, content)

    def restore_unacked(self, client: Any = None) -> None:
        """Hand back everything that was delivered and not acknowledged.

        Raises one of the channel's connection errors when Redis is away; `restore_visible` goes on with it.
        """
        delivered = set(self._delivered)
        try:
            super().restore_unacked(client)  # type: ignore[no-untyped-call]
        except self.channel.connection_errors:
            _left_behind.update(dict.fromkeys(delivered - _running(), time.time()))
            raise

    def restore_visible(self, *arguments: Any, **options: Any) -> None:
        """Celery's regular sweep; what was left behind comes first."""
        while _left_behind:
            tag, since = next(iter(_left_behind.items()))
            self._hand_back(tag, since)
            _left_behind.pop(tag, None)
        super().restore_visible(*arguments, **options)  # type: ignore[no-untyped-call]

    def _hand_back(self, tag: str, since: float) -> None:
        """Put a message back into its queue, unless it was taken again after `since`."""
        # ZSCORE is none of the commands whose keys kombu's client prefixes.
        index = self.channel.global_keyprefix + self.unacked_index_key

        def transaction(pipe: Any) -> None:
            taken_at = pipe.execute_command("ZSCORE", index, tag)
            content = pipe.hget(self.unacked_key, tag)
            pipe.multi()
            if content and taken_at is not None and taken_at <= since:
                self._remove_from_indices(tag, pipe)  # type: ignore[no-untyped-call]
                self.channel._do_restore_message(*loads(bytes_to_str(content)), pipe)

        with self.channel.conn_or_acquire() as client:
            client.transaction(transaction, self.unacked_key, self.unacked_index_key)


def _running() -> set[str]:
    """The delivery tags of what this worker's processes are running."""
    return {request.message.delivery_tag for request in tuple(state.active_requests)}


class Channel(redis.Channel):
    """kombu's, with that `QoS`."""

    QoS = QoS


class Transport(redis.Transport):
    """Keeps the connection's address when kombu drops it."""

    Channel = Channel
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
