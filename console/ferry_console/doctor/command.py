"""`ferry doctor`: look at everything and tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from ferry_console.doctor.document import document
from ferry_console.doctor.examination import examine_all
from ferry_console.doctor.finding import Severity
from ferry_console.doctor.screen import table
from ferry_console.doctor.text import line, summary
from ferry_console.output import json_line, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_console.doctor.finding import Finding

EXIT_OK, EXIT_ERROR_FOUND = 0, 1


class DoctorArguments(Protocol):
    """What the command line gives."""

    json: bool


def main(arguments: DoctorArguments) -> int:
    """Print every finding; the exit code says whether there was an error among them (1) or not (0)."""
    console = Console(highlight=False)
    if arguments.json:
        findings = list(examine_all())
        say([json_line(document(findings))])
    elif console.is_terminal:
        with console.status("looking at settings, Redis, Kafka and workers"):
            findings = list(examine_all())
        console.print(table(findings))
        console.print(summary(findings), markup=False)
    else:
        findings = list(_said())
        say([summary(findings)])
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """1 where there is an error."""
    return EXIT_ERROR_FOUND if any(finding.severity is Severity.ERROR for finding in findings) else EXIT_OK


def _said() -> Sequence[Finding]:
    """Print each finding as soon as it is there."""
    findings = []
    for finding in examine_all():
        say([line(finding)])
        findings.append(finding)
    return findings
