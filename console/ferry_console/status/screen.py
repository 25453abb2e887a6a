"""Where `ferry status --watch` shows its pages: redrawn in place on a terminal, one after the other in a pipe."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ferry_console.local.stop_signals import STOP_SIGNALS
from ferry_console.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_console.status.text import Page


@contextmanager
def redrawn(console: Console) -> Iterator[Callable[[Page], None]]:
    """Show each page in the place of the one before; the last one stays. What doesn't fit is left out, not wrapped."""
    live = Live(console=console, auto_refresh=False)

    def show(page: Page) -> None:
        with _undisturbed():
            live.update(_drawn(page), refresh=True)

    try:
        with _undisturbed():
            live.start()
        yield show
    finally:
        with _undisturbed():
            live.stop()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals wait: a drawing that is given up halfway keeps the next ones back, and with them the cursor."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Inside, for it raises what has come before it.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def appended(page: Page) -> None:
    """Print a page and an empty line behind it."""
    say([*page.lines, ""])


def _drawn(page: Page) -> Group:
    told = [Text(line) for line in page.told]
    rows = [
        Text(row, no_wrap=True, overflow="crop", style="" if number else "bold") for number, row in enumerate(page.rows)
    ]
    return Group(*told, *rows)
