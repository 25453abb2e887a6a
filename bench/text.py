"""Reports and gates as tables of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferry_console.columns import columns
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.gates import Judged
    from bench.report import Report

#: Digits before the point from which on none behind it say anything.
_WHOLE_FROM = 100.0
_TENTHS_FROM = 10.0


def number(value: float) -> str:
    """Three digits that count, at least: 0.512, 1.24, 31.5, 285,314."""
    size = abs(value)
    if size >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= _TENTHS_FROM else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def report_lines(report: Report) -> list[str]:
    """The table of a report, what is missing, and how it was measured."""
    rows = [["what", "median", "least", "greatest", "unit", "values"]]
    for series in report.series:
        least, greatest = min(series.values), max(series.values)
        rows.append(
            [series.label, number(series.median), number(least), number(greatest), series.unit, str(len(series.values))]
        )
    facts = ", ".join(f"{name}: {value:,}" for name, value in report.facts.items())
    lines = [f"{report.name} ({facts})", *columns(rows, {"what", "unit"})]
    return [*lines, *missing_lines(report), *(f"- {note}" for note in report.notes)]


def missing_lines(report: Report) -> list[str]:
    """What could not be measured, at least not in all rounds, and why."""
    # A reason quotes logs.
    return [f"not measured: {printable(f'{name}: {reason}')}" for name, reason in report.missing.items()]


def gate_lines(judged: Sequence[Judged]) -> list[str]:
    """The table of gates and goals."""
    rows = [["what", "measured", "gate", "goal", "holds"]]
    for item in judged:
        sign = "≥" if item.gate.at_least else "≤"
        measured = "not measured" if item.measured is None else number(item.measured)
        holds = "goal" if item.reaches_goal else "yes" if item.holds else "NO"
        rows.append([item.gate.what, measured, f"{sign} {item.gate.gate:g}", f"{sign} {item.gate.goal:g}", holds])
    return columns(rows, {"what"})


def code_lines(report: Report) -> list[str]:
    """The peers' programs."""
    return [line for name, text in report.code.items() for line in ("", f"--- {name}", *text.splitlines())]
