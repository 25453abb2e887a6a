"""docs/doctor.md and docs/topics.md explain every area and every field that the commands tell."""

import json
import re
from pathlib import Path

import pytest

from ferry_console.cli import main
from ferry_console.doctor.document import document
from ferry_console.doctor.finding import Area, error
from tests.support.fake_kafka import FakeKafka
from tests.unit.console.test_operate_page import names

DOCS = Path(__file__).parents[3] / "docs"


def rows(page: str) -> str:
    """The rows of all tables of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.startswith("| "))


def test_every_area_is_explained_in_order() -> None:
    """By the name that stands in the lines."""
    assert re.findall(r"^\| `(\w+)` \| ", rows("doctor.md"), re.MULTILINE)[: len(Area) + 1] == ["area", *Area]


def test_every_field_of_the_doctor_is_explained() -> None:
    """In a table's row that names it."""
    told = set(names(document([error(Area.KAFKA, "x", "y")])))
    assert told - set(re.findall(r"`(\w+)`", rows("doctor.md"))) == set()


def test_every_field_of_created_topics_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the command prints them."""
    kafka = FakeKafka()
    for module in ("client", "topics"):
        monkeypatch.setattr(f"ferry_consumer.{module}.created", kafka.connected)
    assert main(["topics", "create", "--json"]) == 0
    told = set(names(json.loads(capsys.readouterr().out)))
    assert told - set(re.findall(r"`(\w+)`", rows("topics.md"))) == set()
