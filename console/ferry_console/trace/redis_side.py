"""What Redis says of one message: its entry in the ledger, and where its copy is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.trace.findings import Whereabouts, in_flight
from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.entry_view import EntryView, QueueSearch, search_queue, view
from ferry_shared.ledger.keys import queue_key
from ferry_shared.routes import DEFAULT_QUEUE, load_routes

if TYPE_CHECKING:
    import redis

    from ferry_shared.record import TaskId
    from ferry_shared.settings import ConsumerSettings

#: How long a queue is searched for one message.
QUEUE_SEARCH_SECONDS = 3.0
_LOOKS = 3


def look(
    client: redis.Redis, settings: ConsumerSettings, task_id: TaskId
) -> tuple[EntryView, QueueSearch | None, str | None]:
    """Read the entry and, while its copy waits, find that; with a sentence on what could not be found out.

    Between two looks a worker may take the copy: what has changed is looked at again.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    prefix = settings.ferry_key_prefix
    entry = view(client, prefix, task_id)
    key, problem = _queue_key_of(settings, task_id)
    if key is None:
        return entry, None, problem
    search = None
    for _ in range(_LOOKS):
        if entry.state is None or in_flight(entry.state, entry, None) is not Whereabouts.WAITING:
            return entry, None, None
        search = search_queue(client, key, task_id, entry, QUEUE_SEARCH_SECONDS)
        again = view(client, prefix, task_id)
        if (again.state, again.taken) == (entry.state, entry.taken):
            return again, search, None
        entry = again
    return entry, search, None


def _queue_key_of(settings: ConsumerSettings, task_id: TaskId) -> tuple[str | None, str | None]:
    """The list that the topic's tasks go to, as far as the routes can be read here."""
    try:
        routes = load_routes(settings)
    except ConfigurationError as error:
        return None, f"its queue can't be searched: {error}"
    found = [(route.queue, route.priority) for route in routes if route.topic == task_id.topic]
    queue, priority = found[0] if found else (DEFAULT_QUEUE, 0)
    return queue_key(settings.ferry_key_prefix, queue, priority), None
