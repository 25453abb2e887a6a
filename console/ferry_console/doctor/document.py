"""The findings as one JSON object, for programs. docs/doctor.md explains each field."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ferry_console.doctor.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_console.doctor.finding import Finding


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """All findings, and how many of each kind."""
    return {
        "counts": {str(severity): count for severity, count in counted(findings).items()},
        "findings": [asdict(finding) for finding in findings],
    }
