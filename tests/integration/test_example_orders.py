"""examples/orders/README.md, done word by word: its settings and messages, with real servers."""

import os
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from ferry_console.local.kafka import LocalKafka
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import delete_topics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "examples/orders/README.md").read_text(encoding="utf-8")


def test_the_example_runs(kafka: LocalKafka, ferry: FerryProcesses) -> None:
    """An order and a payment are in the books, and a payment of no known type is a dead letter."""
    delete_topics(kafka.bootstrap_servers, ["orders", "payments", "orders.dlq", "payments.dlq"])
    (exported,) = re.findall(r"^export (.*)$", PAGE, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in shlex.split(exported))
    assert settings.keys() == {"PYTHONPATH", "FERRY_ROUTES", "FERRY_IMPORTS"}
    settings["PYTHONPATH"] = os.pathsep.join([str(ROOT / settings["PYTHONPATH"]), os.environ.get("PYTHONPATH", "")])
    ferry.settings |= settings
    consumer, worker = ferry.consumer(), ferry.worker("-c", "1")
    messages = re.findall(r"^(FERRY_ROUTES= )?\.venv/bin/ferry-producer (.*)$", PAGE, re.MULTILINE)
    assert [bool(unchecked) for unchecked, _ in messages] == [False, False, True]
    for unchecked, arguments in messages:
        own = {"FERRY_ROUTES": ""} if unchecked else {}
        sent = ferry.run("-m", "ferry_producer", *shlex.split(arguments), settings=own)
        assert sent.returncode == 0, sent.stderr
    worker.wait_for_text("order 17 is in the books", 60.0)
    worker.wait_for_text("order 17: 500 cents are paid", 60.0)
    consumer.wait_for_text("dead letter: invalid: The tag is none of the union's", 60.0)
    with closing(sqlite3.connect(ferry.directory / "books.sqlite")) as books:
        assert books.execute("SELECT number, items FROM orders").fetchall() == [(17, 2)]
        assert books.execute("SELECT number, cents FROM payments").fetchall() == [(17, 500)]
