"""Results and workflows of routed tasks with a real Kafka, consumer and worker, as a plain Celery client sees them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult, GroupResult

from ferry_console.local.kafka import LocalKafka
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import committed_offsets, create_topic, produce, read_all
from tests.support.pool_process import close_app

#: Celery's own call in its Redis backend.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
WAIT_SECONDS = 60
_ROUTES = """\
from tests.integration.workflow_tasks import routes_of

routes = routes_of({topic!r})
"""


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    """A Celery client that knows no task, and has nothing of Ferry's."""
    client = Celery(backend=redis_url, set_as_current=False)
    yield client
    close_app(client)


class Orders:
    """A topic with its consumer and worker, which keeps results."""

    def __init__(self, kafka: LocalKafka, ferry: FerryProcesses, client: Celery, topic: str, group: str) -> None:
        self.kafka, self.client, self.topic, self.group = kafka, client, topic, group
        self._sent = 0
        create_topic(kafka.bootstrap_servers, topic)
        (ferry.directory / "workflow_routes.py").write_text(_ROUTES.format(topic=topic), encoding="utf-8")
        ferry.settings |= {
            "FERRY_ROUTES": "workflow_routes:routes",
            "FERRY_IMPORTS": "tests.integration.workflow_tasks",
            "CELERY_RESULT_BACKEND": ferry.settings["CELERY_BROKER_URL"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        ferry.consumer()
        self.worker = ferry.worker("-c", "2", *QUICK_START)

    def send(self, how: str, number: int = 10) -> AsyncResult:
        """Send one order; returns what the client finds of it."""
        produce(self.kafka.bootstrap_servers, self.topic, [json.dumps({"how": how, "number": number}).encode()])
        self._sent += 1
        return AsyncResult(f"{self.topic}-0-{self._sent - 1}@{self.group}", app=self.client)

    def workflow(self, how: str) -> AsyncResult:
        """Send an order that starts a workflow; returns the workflow's result."""
        return AsyncResult(self.send(how).get(timeout=WAIT_SECONDS), app=self.client)

    def wait_for_the_end(self) -> None:
        """Everything that was sent is committed."""
        expected = {0: self._sent}
        eventually(lambda: committed_offsets(self.kafka.bootstrap_servers, self.group, self.topic), expected)


@pytest.fixture
def orders(kafka: LocalKafka, ferry: FerryProcesses, client: Celery, topic: str, group: str) -> Orders:
    """The system at work."""
    return Orders(kafka, ferry, client, topic, group)


def test_values_errors_and_retries_are_found_by_the_tasks_id(orders: Orders) -> None:
    """A client may ask before, meanwhile and afterwards; a dead letter's result is its error."""
    early = orders.send("return", 17)
    assert early.get(timeout=WAIT_SECONDS) == {"number": 17, "tries": 1}
    assert early.state == "SUCCESS"

    failed = orders.send("fail")
    with pytest.raises(LookupError, match="no order 10"):
        failed.get(timeout=WAIT_SECONDS)

    retried = orders.send("retry", 3)
    eventually(lambda: retried.state, "RETRY", timeout_seconds=WAIT_SECONDS)
    assert retried.get(timeout=WAIT_SECONDS) == {"number": 3, "tries": 2}
    orders.wait_for_the_end()
    (letter,) = read_all(orders.kafka.bootstrap_servers, f"{orders.topic}.dlq")
    assert dict(letter.headers)["__dlq.errors.message"] == b"LookupError: no order 10"


def test_a_routed_task_starts_chain_group_and_chord(orders: Orders) -> None:
    """Each runs to its end in the same worker, and the message is done; so it is with `self.replace`."""
    assert orders.workflow("chain").get(timeout=WAIT_SECONDS) == 121
    assert orders.workflow("chord").get(timeout=WAIT_SECONDS) == 36
    saved: Any = GroupResult.restore(orders.send("group").get(timeout=WAIT_SECONDS), backend=orders.client.backend)
    assert saved.get(timeout=WAIT_SECONDS) == [11, 12, 13]
    assert orders.send("replace").get(timeout=WAIT_SECONDS) == 21
    orders.wait_for_the_end()
    assert "not run" not in orders.worker.output()
    assert "ERROR" not in orders.worker.output()
