"""Where `ferry status --watch` shows its pages: redrawn in place on a terminal, one after the other in a pipe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ferry_console.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_console.status.text import Page


@contextmanager
def redrawn(console: Console) -> Iterator[Callable[[Page], None]]:
    """Show each page in the place of the one before; the last one stays. What doesn't fit is left out, not wrapped."""
    with Live(console=console, auto_refresh=False) as live:
        yield lambda page: live.update(_drawn(page), refresh=True)


def appended(page: Page) -> None:
    """Print a page and an empty line behind it."""
    say([*page.lines, ""])


def _drawn(page: Page) -> Group:
    told = [Text(line) for line in page.told]
    rows = [
        Text(row, no_wrap=True, overflow="crop", style="" if number else "bold") for number, row in enumerate(page.rows)
    ]
    return Group(*told, *rows)
