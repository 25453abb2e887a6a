"""Rows of text as columns that stand under each other, on a terminal and in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ferry_console.output import say, take_any_character
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_GAP = "  "


def columns(rows: Sequence[Sequence[str]], to_the_left: Collection[str]) -> list[str]:
    """Columns of equal width, the first row being their headings; nothing in a cell can act on the terminal.

    Those whose heading is in `to_the_left` begin at the left, the others end at the right.
    """
    safe = [[printable(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in safe) for column in range(len(safe[0]))]
    left = [heading in to_the_left for heading in rows[0]]
    return [
        _GAP.join(
            _filled(cell, width, to_the_left=side) for cell, width, side in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in safe
    ]


def shortened(text: str, characters: int) -> str:
    """The beginning of a text, with a mark where something is missing."""
    safe = printable(text)
    return safe if len(safe) <= characters else f"{safe[:characters]}…"


def show(lines: Sequence[str]) -> None:
    """Print what `columns` made: whole in a pipe; on a terminal what doesn't fit a line is left out, not wrapped."""
    console = Console(highlight=False)
    if not console.is_terminal:
        say(lines)
        return
    take_any_character()
    for number, line in enumerate(lines):
        style = "" if number else "bold"
        console.print(Text(line, style), no_wrap=True, overflow="ellipsis", crop=True)


def _filled(cell: str, width: int, *, to_the_left: bool) -> str:
    blanks = " " * (width - cell_len(cell))
    return cell + blanks if to_the_left else blanks + cell
