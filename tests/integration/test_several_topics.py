"""Two routes on two topics, two queues and two workers, as docs/own_task.md starts them."""

import os
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import redis

from ferry_console.local.kafka import LocalKafka
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses
from tests.support.kafka_records import delete_topics

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own_task.md"
ORDER = '{{"number": {}, "items": [{{"sku": "tea"}}]}}'
PAYMENT = '{{"type": "paid", "order": {}, "cents": 500}}'
#: Of each kind.
MESSAGES = 20


def workers_of_the_page() -> dict[str, list[str]]:
    """The arguments of `celery` for each worker, by the queue that it is named for."""
    lines = re.findall(
        r"^celery (-A ferry_worker worker -n (\w+)@%h .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {queue: shlex.split(arguments) for arguments, queue in lines}


def send(ferry: FerryProcesses, topic: str, message: str) -> None:
    """Send `MESSAGES` of them."""
    lines = "".join(message.format(number) + "\n" for number in range(1, MESSAGES + 1))
    sent = ferry.produce("--topic", topic, "-", standard_input=lines)
    assert sent.returncode == 0, sent.stderr


def told(worker: FerryProcess, pattern: str) -> int:
    """How often it said so."""
    return len(re.findall(pattern, worker.output()))


def orders_entered(ferry: FerryProcesses) -> list[int]:
    """The numbers of the orders in the shop's books."""
    with closing(sqlite3.connect(ferry.directory / "books.sqlite")) as books:
        return [number for (number,) in books.execute("SELECT number FROM orders ORDER BY number")]


@pytest.mark.single_messages
def test_each_worker_has_its_own_queue(kafka: LocalKafka, ferry: FerryProcesses, redis_url: str) -> None:
    """A topic whose worker is away waits, and the other goes on; each message runs once, where it belongs."""
    delete_topics(kafka.bootstrap_servers, ["orders", "payments", "orders.dlq", "payments.dlq"])
    commands = workers_of_the_page()
    assert commands.keys() == {"orders", "payments"}
    ferry.settings |= {
        "FERRY_ROUTES": "orders.routes:routes",
        "FERRY_IMPORTS": "orders.tasks",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "examples" / "orders"), os.environ.get("PYTHONPATH", "")]),
    }
    queues = redis.Redis.from_url(redis_url)
    ferry.consumer()
    payments = ferry.start("payments", "-m", "celery", *commands["payments"], "-c", "1")
    send(ferry, "orders", ORDER)
    send(ferry, "payments", PAYMENT)
    eventually(lambda: told(payments, r"order \d+: 500 cents are paid"), MESSAGES, 60.0)
    eventually(lambda: queues.llen("orders"), MESSAGES, 30.0)

    orders = ferry.start("orders", "-m", "celery", *commands["orders"], "-c", "1")
    eventually(lambda: orders_entered(ferry), list(range(1, MESSAGES + 1)), 60.0)
    assert queues.llen("orders") == 0
    assert told(payments, r"\[payments-\d-\d+") >= MESSAGES
    assert (told(orders, r"\[payments-"), told(payments, r"\[orders-")) == (0, 0)
