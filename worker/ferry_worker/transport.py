"""kombu's Redis transport, with a worker that outlives a restart of Redis.

After a lost connection Celery 5.7 closes the old channel a second time, and tasks that were running acknowledge on it
later. kombu has dropped the old transport's address by then, and both end the worker: "Unrecoverable error:
AttributeError: 'NoneType' object has no attribute 'hostname'". Redis has no channels, an acknowledgement is a deletion
by tag: with the address kept, the old channel connects again and acknowledges what it delivered.

A channel that is closed hands back what it had reserved. With Redis away kombu tries that once and gives up, and those
tasks wait for the visibility timeout. Here they are handed back as soon as Redis answers, except for those that run,
and for those that another worker's sweep has handed back before and that have been taken again since.
What is rejected late is left alone in the same way.

Whatever is handed back is taken next, the oldest first. In kombu a rejected message goes behind all others, and what
was reserved comes back the newest first: the consumer, which looks at those that are taken next to know how old the
oldest is, takes older ones behind them for vanished and queues a second copy.

kombu hands back by a transaction that fails when any worker acknowledges anything meanwhile. Here a script does it.

A full Redis hands a message out and refuses to note that it was taken: that ends kombu's worker and loses the message.
Here a script notes it all the same, so a full queue is worked off; and another one acknowledges. For a short task
kombu's transactions for these two are a large part of what its worker does.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.worker import state
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from ferry_shared.ledger.worker_ledger import HEADER
from ferry_worker.sparing_loop import SparingLoop

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What `broker_transport` and the worker's banner say.
TRANSPORT_NAME = "ferry-redis"

#: KEYS: kombu's index of taken messages, the messages. ARGV: when it was taken, its delivery tag, the message, then the
#: delivery tags of others that are acknowledged.
NOTE_TAKEN = """#!lua flags=allow-oom
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
for index = 4, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[index])
  redis.call('HDEL', KEYS[2], ARGV[index])
end
return ARGV[2]
"""

#: KEYS: kombu's index of taken messages, the messages. ARGV: delivery tags.
ACKNOWLEDGE = """#!lua flags=allow-oom
for _, tag in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], tag)
  redis.call('HDEL', KEYS[2], tag)
end
"""
#: So long, or so many, acknowledgements of Ferry's tasks wait to go with the note of the next message: the ledger knows
#: already that they are done, so a worker that dies meanwhile leaves nothing but messages that nobody will run.
ACKNOWLEDGE_AFTER_SECONDS = 0.05
MAX_ACKNOWLEDGED_LATER = 100

#: KEYS: kombu's index of taken messages, the messages, then the queue of each copy. ARGV: the delivery tag, when it was
#: taken as it was read ('' for never), then the copies. A message acknowledged or taken again since is left alone.
#: A worker takes from the right. What is older there stays there: several workers may hand back one after the other.
HAND_BACK = """#!lua flags=allow-oom
local MOST_OLDER, MOST_BYTES = 1000, 4 * 1024 * 1024
local function enqueued_ms(message)
  return message and tonumber(string.match(message, '"enqueued_ms": ?(%d+)'))
end
local taken = redis.call('ZSCORE', KEYS[1], ARGV[1])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
if tonumber(taken or '') ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
for index = 3, #KEYS do
  local queue, own, older, bytes = KEYS[index], enqueued_ms(ARGV[index]), {}, 0
  while own and #older < MOST_OLDER and bytes < MOST_BYTES
    and (enqueued_ms(redis.call('LINDEX', queue, -1)) or own) < own do
    older[#older + 1] = redis.call('RPOP', queue)
    bytes = bytes + #older[#older]
  end
  redis.call('RPUSH', queue, ARGV[index])
  for last = #older, 1, -1 do
    redis.call('RPUSH', queue, older[last])
  end
end
return 1
"""

#: Delivery tags of this process that could not be handed back, and when it took them (s since 1970, the clock of
#: kombu's index); tags are unique, so it need not say of which broker.
_left_behind: dict[str, float] = {}
#: The same of those that could not be acknowledged at the end of their channel.
_acknowledged_late: list[str] = []


class QoS(redis.QoS):
    """Notes and acknowledges what is taken in one step; hands back later what it can't hand back now."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        # In their order.
        self._to_acknowledge: dict[str, None] = {}
        self._timer: Any = None

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message was taken."""
        delivery = message.delivery_info
        content = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])
        acknowledged = tuple(self._to_acknowledge)
        self._note(delivery_tag, content, acknowledged)
        self._forget(acknowledged)
        virtual.QoS.append(self, message, delivery_tag)
        # By kombu's clock, after it: what the index says later than that was taken by another worker.
        message.taken_at = time.time()

    def ack(self, delivery_tag: str) -> None:
        """Forget a message that was taken: at once, or of one that a ledger knows, with the next one or soon."""
        may_wait = self._may_wait(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        self._to_acknowledge[delivery_tag] = None
        if may_wait and len(self._to_acknowledge) < MAX_ACKNOWLEDGED_LATER:
            self._timer = self._timer or self._call_later()
            return
        try:
            self._acknowledge()
        except self.channel.connection_errors:
            if not self.channel.closed:
                raise
            self._leave_to_sweep()

    def _may_wait(self, delivery_tag: str) -> bool:
        """Whether its end is recorded elsewhere, and this is the thread of an event loop that will come back to it.

        A channel that was closed takes nothing more.
        """
        message = self._delivered.get(delivery_tag)
        return (
            HEADER in (getattr(message, "headers", None) or {})
            and not self.channel.closed
            and self.channel.connection.loop is not None
            and threading.current_thread() is threading.main_thread()
        )

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._acknowledge()
        except (*self.channel.connection_errors, self.channel.ResponseError):
            # The channel ends by that, and acknowledges then; if it doesn't, this has not been the last time.
            if not self.channel.closed:
                self._timer = self._call_later()

    def _call_later(self) -> Any:
        return self.channel.connection.loop.call_later(ACKNOWLEDGE_AFTER_SECONDS, self._on_timer)

    def _acknowledge(self) -> None:
        acknowledged = tuple(self._to_acknowledge)
        if acknowledged:
            self._run(ACKNOWLEDGE, *acknowledged)
        self._forget(acknowledged)

    def _forget(self, acknowledged: Sequence[str]) -> None:
        for tag in acknowledged:
            self._to_acknowledge.pop(tag, None)

    def _leave_to_sweep(self) -> None:
        late = tuple(self._to_acknowledge)
        _acknowledged_late.extend(late)
        self._forget(late)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """The end of the channel: acknowledge what is to be, and hand back the rest."""
        try:
            self._acknowledge()
        except (*self.channel.connection_errors, self.channel.ResponseError):
            self._leave_to_sweep()
        super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]

    def _note(self, tag: str, content: str, acknowledged: Sequence[str]) -> None:
        arguments = (time.time(), tag, content, *acknowledged)
        if (connection := self.channel.read_from) is not None:
            # One that is lost meanwhile: noted twice is as good as once.
            with suppress(*self.channel.connection_errors):
                connection.send_command(*self._command(NOTE_TAKEN, *arguments))
                if bytes_to_str(connection.read_response()) == tag:
                    return
                # Something else was on its way there.
                connection.disconnect()
        self._run(NOTE_TAKEN, *arguments)

    def _run(self, script: str, *arguments: Any) -> None:
        with self.channel.conn_or_acquire() as client:
            client.execute_command(*self._command(script, *arguments))

    def _command(self, script: str, *arguments: Any) -> tuple[Any, ...]:
        # kombu's client puts the prefix before the keys of the commands that kombu uses, and EVAL isn't one of them.
        keys = [self.channel.global_keyprefix + key for key in (self.unacked_index_key, self.unacked_key)]
        return ("EVAL", script, len(keys), *keys, *arguments)

    def restore_unacked(self, client: Any = None) -> None:
        """Hand back everything that was delivered and not acknowledged.

        Raises one of the channel's connection errors when Redis is away; `restore_visible` goes on with it.
        """
        # The last one handed back is taken next: that has to be the oldest.
        delivered = list(reversed(self._delivered))
        try:
            with self.channel.conn_or_acquire(client) as connected:
                for tag in delivered:
                    self.restore_by_tag(tag, connected)
        except self.channel.connection_errors:
            running = _running()
            _left_behind.update((tag, self._taken_at(tag)) for tag in delivered if tag not in running)
            raise
        self._delivered.clear()

    def restore_visible(self, *arguments: Any, **options: Any) -> None:
        """Celery's regular sweep; what was left behind comes first."""
        while _acknowledged_late:
            self._run(ACKNOWLEDGE, _acknowledged_late[0])
            _acknowledged_late.pop(0)
        while _left_behind:
            tag, own_taking = next(iter(_left_behind.items()))
            with self.channel.conn_or_acquire() as client:
                self._hand_back(tag, client, own_taking)
            _left_behind.pop(tag, None)
        super().restore_visible(*arguments, **options)  # type: ignore[no-untyped-call]

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Hand a message back, whatever end of the queue `leftmost` asks for."""
        with self.channel.conn_or_acquire(client) as connected:
            self._hand_back(tag, connected, self._taken_at(tag))

    def _taken_at(self, tag: str) -> float:
        """When this process took it (s since 1970); infinity for what another one took, which its sweep hands back."""
        return getattr(self._delivered.get(tag), "taken_at", math.inf)

    def _hand_back(self, tag: str, client: Any, own_taking: float) -> None:
        """Put a message to the end of its queue that is taken next, unless it was taken again after `own_taking`."""
        pipe = client.pipeline(transaction=False)
        # kombu's client puts the prefix before the keys of the commands that kombu uses; ZSCORE and EVAL are none.
        pipe.execute_command("ZSCORE", self.channel.global_keyprefix + self.unacked_index_key, tag)
        taken_at, content = pipe.hget(self.unacked_key, tag).execute()
        if taken_at is not None and taken_at > own_taking:
            return
        copies = Copies()
        if content is not None:
            self.channel._do_restore_message(*loads(bytes_to_str(content)), copies)
        keys = [self.unacked_index_key, self.unacked_key, *copies.queues]
        prefixed = [self.channel.global_keyprefix + key for key in keys]
        seen = "" if taken_at is None else repr(taken_at)
        # What has ended meanwhile stays away.
        self._acknowledge()
        client.execute_command("EVAL", HAND_BACK, len(prefixed), *prefixed, tag, seen, *copies.messages)


class Copies:
    """Stands where kombu expects a pipeline, and notes which message it would push to which queue."""

    def __init__(self) -> None:
        self.queues: list[str] = []
        self.messages: list[str] = []

    def rpush(self, queue: str, message: str) -> None:
        """Note it."""
        self.queues.append(queue)
        self.messages.append(message)


def _running() -> set[str]:
    """The delivery tags of what this worker's processes are running."""
    return {request.message.delivery_tag for request in tuple(state.active_requests)}


class Channel(redis.Channel):
    """kombu's, with that `QoS`, and with one client for all that it waits for: kombu makes a new one for each."""

    QoS = QoS
    #: The connection that a message was read from, while that is delivered: nothing else is on its way there then, and
    #: it serves in half the processor time that redis-py takes for a command over one of its pool.
    read_from: Any = None
    _waiting_client: Any = None

    def _brpop_read(self, **options: Any) -> Any:
        self.read_from = self.client.connection
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        finally:
            self.read_from = None

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        if asynchronous:
            # Connected again unnoticed, BRPOP would be sent twice, and each reply be taken for the one before.
            params.pop("retry_on_timeout", None)
        return params

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        # After a lost connection the pool is another one.
        if self._waiting_client is None or self._waiting_client.connection_pool is not self.pool:
            self._waiting_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._waiting_client


class Transport(redis.Transport):
    """Keeps the connection's address when kombu drops it, and the event loop that it is served by (None: no loop)."""

    Channel = Channel
    loop: Any = None
    _address: Any = None

    @property
    def client(self) -> Any:
        """The kombu connection with address and options."""
        return self._address

    @client.setter
    def client(self, connection: Any) -> None:
        if connection is not None:
            self._address = connection

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """The worker has begun to serve it."""
        self.loop = loop
        super().register_with_event_loop(connection, SparingLoop(loop))  # type: ignore[no-untyped-call]


def register_transport() -> str:
    """Make the transport known to kombu by its name, and return that."""
    TRANSPORT_ALIASES[TRANSPORT_NAME] = f"{__name__}:{Transport.__name__}"
    return TRANSPORT_NAME
