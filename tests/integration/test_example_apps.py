"""The READMEs of examples/django_app and examples/flask_app, done word by word, with real servers and workers."""

import json
import os
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcess, FerryProcesses

ROOT = Path(__file__).parents[2]
#: What the README starts, as a name for a test.
PROGRAM = re.compile(r"^\.venv/bin/(?P<program>[\w-]+) (?P<arguments>.*)$", re.MULTILINE)


def start(ferry: FerryProcesses, example: str) -> FerryProcess:
    """Do what stands in the example's README, up to the message; returns its worker."""
    page = (ROOT / "examples" / example / "README.md").read_text(encoding="utf-8")
    block = next(found for found in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "\nexport " in f"\n{found}")
    (exported,) = re.findall(r"^export (.*)$", block, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in shlex.split(exported))
    assert settings.keys() == {"PYTHONPATH", "FERRY_ROUTES", "CONSUMER_GROUP"}
    settings["PYTHONPATH"] = os.pathsep.join([str(ROOT / settings["PYTHONPATH"]), os.environ.get("PYTHONPATH", "")])
    ferry.settings |= settings
    programs = {found["program"]: shlex.split(found["arguments"]) for found in PROGRAM.finditer(block)}
    if "python" in programs:
        script, *arguments = programs["python"]
        migrated = ferry.run(str(ROOT / script), *arguments)
        assert migrated.returncode == 0, migrated.stderr
    assert programs["ferry-consumer"] == ["run"]
    ferry.consumer()
    worker = ferry.start("worker", "-m", "celery", *programs["celery"], "-c", "1")
    sent = ferry.produce(*programs["ferry-producer"])
    assert sent.returncode == 0, sent.stderr
    return worker


def rows(ferry: FerryProcesses, file: str, query: str) -> list[tuple[object, ...]]:
    """What the task wrote."""
    with closing(sqlite3.connect(ferry.directory / file)) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize(
    ("example", "told", "file", "query", "written"),
    [
        (
            "django_app",
            "tea: 3 in stock",
            "warehouse.sqlite",
            "SELECT item_id, quantity FROM stock_delivery",
            [("tea", 3)],
        ),
        (
            "flask_app",
            "a ticket of Ada",
            "tickets.sqlite",
            "SELECT customer, text FROM tickets",
            [("Ada", "the printer is on fire")],
        ),
    ],
)
def test_an_app_that_exists_completes_the_ledger(
    ferry: FerryProcesses, example: str, told: str, file: str, query: str, written: list[tuple[object, ...]]
) -> None:
    """The message is worked off by the app's own worker, in its own way, and its offset is committed."""
    worker = start(ferry, example)
    worker.wait_for_text(told, 60.0)
    assert rows(ferry, file, query) == written

    def left() -> tuple[int, int]:
        status = ferry.run("-m", "ferry_console", "status", "--json")
        totals = json.loads(status.stdout)["totals"]
        return totals["in_flight"], totals["lag"]

    eventually(left, (0, 0), 30.0)
