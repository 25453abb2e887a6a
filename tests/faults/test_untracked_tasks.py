"""A route whose task can't run its messages, or whose queue nobody reads: told by name wherever one looks."""

import json
from pathlib import Path
from typing import Any

from ferry_console.local.kafka import LocalKafka
from ferry_console.local.ports import free_port
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.http_get import http_get
from tests.support.kafka_records import RawRecord, committed_offsets, create_topic, produce, read_all

SHOP = """
import os
from celery import Celery, Task
from ferry_worker import track

app = Celery("shop", broker=os.environ["CELERY_BROKER_URL"])
track(app)
"""
PLAIN = """
@app.task(name="shop.plain", base=Task)
def handle_plainly(order):
    print(f"ran {order}")
"""
ROUTES = """
from ferry_shared.routes import Route

routes = [Route({topic!r}, dict, "shop.plain", "orders")]
"""
SECOND = "1"
REDELIVER_AFTER_SECONDS = "5"
#: The first receipt counts, the second one ends the message.
STARTS = {"WORKER_MAX_CLAIMS": "1"}
UNKNOWN = "NotRegistered: no worker that received it knows the task 'shop.plain'"
ERROR = "untracked: no worker that received it has 'shop.plain' as a tracked task"


def dispatch_two(kafka: LocalKafka, ferry: FerryProcesses, topic: str, app: str) -> int:
    """Two messages are in the queue of a route of the app `shop`; returns the consumer's port."""
    create_topic(kafka.bootstrap_servers, topic)
    (ferry.directory / "shop.py").write_text(app, encoding="utf-8")
    (ferry.directory / "shop_routes.py").write_text(ROUTES.format(topic=topic), encoding="utf-8")
    ferry.settings["PYTHONPATH"] = str(Path(__file__).parents[2])
    port = free_port()
    ferry.consumer(
        FERRY_ROUTES="shop_routes:routes",
        CONSUMER_HTTP_PORT=str(port),
        CONSUMER_STATUS_INTERVAL_SECONDS=SECOND,
        CONSUMER_REDELIVER_AFTER_SECONDS=REDELIVER_AFTER_SECONDS,
    )
    produce(kafka.bootstrap_servers, topic, [b'{"number": 1}', b'{"number": 2}'])
    eventually(lambda: status(ferry)["totals"]["in_flight"], 2)
    return port


def status(ferry: FerryProcesses) -> Any:
    """What `ferry status` says."""
    return json.loads(ferry.run("-m", "ferry_console", "status", "--json").stdout)


def told_by_a_worker(
    ferry: FerryProcesses, topic: str, port: int, *, sentence: str, warning: str, name: str
) -> FerryProcess:
    """A worker has got both messages: its log says so, the metric and the status of that name, and a warning."""
    worker = ferry.start("shop", "-m", "celery", "-A", "shop", "worker", "-c", "1", "-Q", "orders", settings=STARTS)
    worker.wait_for_text(sentence, 60.0)
    counter = f'ferry_{name}_total{{partition="0",task="shop.plain",topic="{topic}"}} 2.0'
    eventually(lambda: counter in http_get(port, "/metrics")[1], expected=True)
    told = status(ferry)
    assert told["partitions"][0][name.removesuffix("_task")] == {"shop.plain": 2}
    assert any(warning in each for each in told["warnings"])
    return worker


def letters_of_both(kafka: LocalKafka, topic: str, group: str, error: str) -> list[RawRecord]:
    """The committed offset has passed both messages, and each has a dead letter that says why."""
    eventually(lambda: committed_offsets(kafka.bootstrap_servers, group, topic), {0: 2}, timeout_seconds=60)
    letters = read_all(kafka.bootstrap_servers, f"{topic}.dlq")
    assert [dict(letter.headers)["__dlq.errors.message"] for letter in letters] == [error.encode()] * 2
    return letters


def test_a_task_that_is_not_tracked_is_told_by_name_in_log_metric_and_status(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Its messages aren't run; they become dead letters that say why, and the committed offset passes them."""
    port = dispatch_two(kafka, ferry, topic, SHOP + PLAIN)
    sentence = "the task 'shop.plain' isn't tracked"
    worker = told_by_a_worker(ferry, topic, port, sentence=sentence, warning=sentence, name="untracked")
    letters_of_both(kafka, topic, group, ERROR)
    assert 'ran {"' not in worker.output()
    assert worker.output().count("isn't tracked") == 1


def test_a_task_that_no_worker_knows_is_told_by_name_in_log_metric_and_status(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """In one line instead of Celery's page a message, which would show its text; then they are dead letters."""
    port = dispatch_two(kafka, ferry, topic, SHOP)
    worker = told_by_a_worker(
        ferry,
        topic,
        port,
        sentence=f"the task 'shop.plain' isn't known to this worker: messages of the topic {topic} are",
        warning="the task 'shop.plain' isn't known to a worker",
        name="unknown_task",
    )
    letters = letters_of_both(kafka, topic, group, UNKNOWN)
    assert [letter.value for letter in letters] == [b'{"number": 1}', b'{"number": 2}']
    assert worker.output().count("isn't known") == 1
    assert "unregistered" not in worker.output()


def test_a_queue_from_which_nobody_takes_is_named_until_somebody_does(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """A worker of other queues doesn't count, and one that was killed is forgotten."""
    dispatch_two(kafka, ferry, topic, SHOP)
    others = ferry.start("others", "-m", "celery", "-A", "shop", "worker", "-c", "1", "-l", "INFO")
    others.wait_for_text(r"ready\.", 60.0)

    def warned() -> bool:
        return any("no worker takes from the queue orders" in warning for warning in status(ferry)["warnings"])

    (queue,) = status(ferry)["queues"]
    assert queue == {"queue": "orders", "workers": 0, "topics": [topic], "in_flight": 2}
    assert warned()
    worker = ferry.start("shop", "-m", "celery", "-A", "shop", "worker", "-c", "1", "-Q", "orders", "-n", "o@host")
    eventually(warned, expected=False, timeout_seconds=60)
    worker.kill()
    eventually(warned, expected=True, timeout_seconds=60)
