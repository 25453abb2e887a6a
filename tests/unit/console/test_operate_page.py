"""docs/operate.md explains every field and every state that `ferry status` and `ferry trace` tell, in their words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferry_console.status.document import document as status_document
from ferry_console.trace.document import document as trace_document
from ferry_console.trace.findings import Whereabouts
from ferry_shared.ledger.pauses import Pause
from tests.unit.console.status_views import OLD_AFTER, ledger, status
from tests.unit.console.trace_parts import LETTER, STATE, findings, in_flight

PAGE = (Path(__file__).parents[3] / "docs" / "operate.md").read_text(encoding="utf-8")
STATUS, TRACE = PAGE.split("\n## `ferry trace`\n")


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
    ],
    ids=["status", "trace"],
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
