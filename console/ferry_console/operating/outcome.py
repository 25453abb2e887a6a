"""What a changing command tells: sentences for people or one object for machines, and its exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferry_console.output import json_line, say
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXIT_OK, EXIT_NOTHING_DONE, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """`sentences` say what was done, `warnings` what else the operator should know; `facts` are both for machines."""

    exit_code: int
    sentences: Sequence[str]
    facts: Mapping[str, Any]
    warnings: Sequence[str] = field(default=())


def tell(outcome: Outcome, *, as_json: bool) -> int:
    """Print it, warnings to standard error; returns the exit code."""
    if as_json:
        say([json_line({**outcome.facts, "warnings": list(outcome.warnings)})])
        return outcome.exit_code
    if outcome.sentences:
        say([printable(sentence) for sentence in outcome.sentences])
    for warning in outcome.warnings:
        print(f"ferry: {printable(warning)}", file=sys.stderr)
    return outcome.exit_code
