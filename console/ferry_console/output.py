"""Standard output of the commands: lines that any terminal can show."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def say(lines: Iterable[str]) -> None:
    """Print lines at once; a character that the terminal's encoding lacks is shown by its code."""
    take_any_character()
    print("\n".join(lines), flush=True)


def take_any_character() -> None:
    """Let standard output show a character that its encoding lacks by its code; by default that is an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def json_line(document: Any) -> str:
    """One JSON object in one line of printable ASCII: nothing in it can act on a terminal."""
    return json.dumps(document, ensure_ascii=True)
