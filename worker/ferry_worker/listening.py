"""A worker says which queues it takes from, so that `ferry status` can name one from which nobody does."""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks
from redis.exceptions import RedisError

from ferry_shared.errors import FerryError
from ferry_shared.ledger.listening import tell_listening
from ferry_worker.ledger_access import parent_client
from ferry_worker.tracking import tracking_of

log = logging.getLogger("ferry.worker")

TELL_EVERY_SECONDS = 5.0
#: A busy machine may hold a worker up for some seconds; a killed one is forgotten after so many.
HOLDS_MS = 30_000


class Listening(bootsteps.StartStopStep):
    """Says so while the worker takes messages, and takes it back when it ends."""

    requires = (Tasks,)
    _timer: Any = None

    def start(self, consumer: Any) -> None:
        """Say it now and every few seconds: queues can be added and cancelled by remote control."""
        _tell(consumer, HOLDS_MS)
        self._timer = consumer.timer.call_repeatedly(TELL_EVERY_SECONDS, _tell, (consumer, HOLDS_MS))

    def stop(self, consumer: Any) -> None:
        """Take it back; also when the connection is lost, until it is there again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _tell(consumer, 0)


def _tell(consumer: Any, holds_ms: int) -> None:
    queues = [queue.name for queue in consumer.task_consumer.queues] if consumer.task_consumer else []
    try:
        tracking = tracking_of(consumer.app)
        client = parent_client(tracking.ledger_url)
        tell_listening(client, tracking.settings.ferry_key_prefix, consumer.hostname, queues, holds_ms)
    except (FerryError, RedisError) as error:
        # It holds for some turns; people are told of a Redis that is away by everything else.
        log.debug("could not say which queues are taken from: %s", error)
