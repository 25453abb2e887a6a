"""Findings as lines for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Severity
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ferry_console.doctor.finding import Finding

_WIDEST_SEVERITY = max(len(severity) for severity in Severity)
#: Longest name of an area, so that the sentences stand below each other.
_WIDEST_AREA = 9


def line(finding: Finding) -> str:
    """One finding as one line: `ok|warning|error`, where, what, and behind an arrow what to do."""
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    start = f"{finding.severity:<{_WIDEST_SEVERITY}}  {finding.area:<{_WIDEST_AREA}}"
    return printable(f"{start}  {finding.told}{remedy}")


def summary(findings: Sequence[Finding]) -> str:
    """How many of which kind."""
    counts = counted(findings)
    parts = [
        f"{counts[severity]} {severity}{'s' if severity is not Severity.OK and counts[severity] != 1 else ''}"
        for severity in Severity
    ]
    return ", ".join(parts)


def counted(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many of each kind, also where there is none."""
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in Severity}
