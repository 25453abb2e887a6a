"""The findings as a table, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ferry_console.doctor.finding import Severity
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferry_console.doctor.finding import Finding

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def table(findings: Iterable[Finding]) -> Table:
    """A row a finding; what is to be done stands below what was found."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("", no_wrap=True)
    made.add_column("what", no_wrap=True)
    # Folded, since a path or a name that is cut off is of no use.
    made.add_column("finding", overflow="fold")
    for finding in findings:
        told = Text(printable(finding.told))
        if finding.remedy:
            told.append(f"\n-> {printable(finding.remedy)}", style="bold")
        made.add_row(Text(finding.severity, style=_STYLES[finding.severity]), Text(finding.area), told)
    return made
