"""The documentation explains every field and every state that the commands tell, in their words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferry_console.dead_letters.document import list_document, show_document
from ferry_console.dead_letters.letters import letter_of
from ferry_console.dead_letters.purge_report import Purge
from ferry_console.dead_letters.purge_report import report as purge_report
from ferry_console.dead_letters.purging import Prefix, Stay
from ferry_console.dead_letters.reading import LetterList
from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.replay_report import Reach, report
from ferry_console.dead_letters.replaying import Problem, Result, Tally
from ferry_console.in_flight.document import document as in_flight_document
from ferry_console.in_flight.stages import Stage
from ferry_console.status.document import document as status_document
from ferry_console.trace.document import document as trace_document
from ferry_console.trace.findings import Whereabouts
from ferry_shared.ledger.pauses import Pause
from tests.unit.console.in_flight_parts import answer, flight
from tests.unit.console.letter_parts import written
from tests.unit.console.status_views import OLD_AFTER, ledger, status
from tests.unit.console.trace_parts import LETTER, STATE, findings, in_flight

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "operate.md").read_text(encoding="utf-8")
STATUS, _, REST = PAGE.partition("\n## `ferry trace`\n")
LETTERS = (DOCS / "dead_letters.md").read_text(encoding="utf-8")
LIST = LetterList(("a",), ("b",), (letter_of(written()),), more=True, read=1, complete=False)
TRACE, _, IN_FLIGHT = REST.partition("\n## `ferry in-flight list`\n")


def names(document: Any) -> Iterator[str]:
    """Every field's name, at any depth."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield name
            yield from names(value)
    elif isinstance(document, list):
        for item in document:
            yield from names(item)


@pytest.mark.parametrize(
    ("page", "document"),
    [
        (STATUS, status_document(status(ledger(), pauses={"orders": Pause("who", 1, "why")}), OLD_AFTER)),
        (TRACE, trace_document(findings(in_flight(STATE), letters=LETTER))),
        (IN_FLIGHT, in_flight_document(answer(flight(STATE)))),
        (LETTERS, list_document(LIST)),
        (LETTERS, show_document("id", [written()], complete=True, missing=())),
    ],
    ids=["status", "trace", "in-flight", "dead-letters list", "dead-letters show"],
)
def test_every_field_is_explained(page: str, document: Any) -> None:
    """In a table's row that names it."""
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| "))
    assert set(names(document)) - set(re.findall(r"`(\w+)`", rows)) == set()


def test_every_state_is_explained() -> None:
    """By its name in JSON, and as people read it, in order."""
    table = re.search(r"<!-- states\b.*?-->\n(.*?)<!-- /states -->", PAGE, re.DOTALL)
    assert table
    rows = [row.split(" | ")[:2] for row in table[1].splitlines()[2:]]
    assert rows == [[f"| `{where.name.lower()}`", str(where)] for where in Whereabouts]


def test_every_stage_is_explained() -> None:
    """In the row of the option that asks for it."""
    (row,) = [line for line in IN_FLIGHT.splitlines() if line.startswith("| `--state")]
    assert set(re.findall(r"`(\w+)`", row)) == {str(stage) for stage in Stage}


def test_every_field_of_a_replay_is_explained() -> None:
    """In the paragraph that ends the page."""
    facts = report(Tally(problems=[Problem("id", Result.UNFIT, "why")]), Mark("who", 1), Reach(), dry_run=False).facts
    (told,) = [line for line in LETTERS.splitlines() if line.startswith("`replay` tells")]
    assert {*names(facts), "warnings"} - set(re.findall(r"`(\w+)`", told)) == set()


def test_every_field_of_a_purge_is_explained() -> None:
    """In the paragraph behind it."""
    prefix = Prefix(0, 1, first=Stay("id", "why"))
    facts = purge_report(Purge({"orders.dlq": {0: prefix}}), Mark("who", 1), dry_run=False).facts
    (told,) = [line for line in LETTERS.splitlines() if line.startswith("`purge` tells")]
    assert {*names(facts), "warnings"} - set(re.findall(r"`(\w+)`", told)) == set()
