"""A worker's pool process without its worker: it takes messages from Redis and runs them by Celery's own tracer."""

from typing import Any

import orjson
import redis
from celery import Celery
from celery.app.trace import build_tracer
from celery.utils.imports import symbol_by_name

from ferry_worker.testing.running import received


def close_app(app: Celery) -> None:
    """Close its connections to broker and result backend: Celery leaves them to the end of the process."""
    app.backend.result_consumer.stop()
    # A result that is collected later would connect again, to end its subscription.
    app.backend.result_consumer.subscribed_to.clear()
    app.backend.client.connection_pool.disconnect()
    app.close()


class PoolProcess:
    """Runs the tasks of one app, one after the other; what they send lies in its queues like anybody's."""

    def __init__(self, app: Celery, url: str) -> None:
        """`url` is the broker's."""
        self.app = app
        self.client = redis.Redis.from_url(url)

    def close(self) -> None:
        """Close its connection, and the app's."""
        self.client.close()
        close_app(self.app)

    def take(self, queue: str = "celery") -> dict[str, Any] | None:
        """The next message of a queue, removed and as it lay there; None when the queue is empty."""
        raw = self.client.rpop(queue)
        return orjson.loads(raw) if isinstance(raw, bytes) else None

    def run(self, fields: dict[str, Any]) -> str:
        """Run a message that was taken; returns Celery's state of how that ended."""
        message = received(orjson.dumps(fields))
        task = self.app.tasks[fields["headers"]["task"]]
        request = symbol_by_name(task.Request)(message, app=self.app, task=task, hostname="test")
        _, _, embedded = message.payload
        task.__trace__ = build_tracer(task.name, task, app=self.app)
        ended = task.__trace__(request.id, request.args, request.kwargs, request.request_dict | embedded)
        return ended.info.state if ended.info else "SUCCESS"

    def run_next(self, queue: str = "celery") -> str:
        """Run the next message, which must be there."""
        fields = self.take(queue)
        assert fields is not None, f"the queue {queue} is empty"
        return self.run(fields)

    def run_all(self, queue: str = "celery") -> list[dict[str, Any]]:
        """Run what is in a queue and what comes into it meanwhile; returns the messages in order."""
        taken = []
        while (fields := self.take(queue)) is not None:
            taken.append(fields)
            self.run(fields)
        return taken
