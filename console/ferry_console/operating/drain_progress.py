"""How far a drain is, on standard error: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ferry_console.operating.draining import bar_text, progress_sentence
from ferry_shared.logs import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_console.operating.draining import DrainLook

    Show = Callable[[DrainLook | None, float], None]

LINE_EVERY_SECONDS = 10.0
AWAY = "Redis can't be reached, trying again"


@contextmanager
def drain_progress() -> Iterator[Show]:
    """Call what is given with each look (None: Redis was away) and the rate, in messages per second."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        most = 0

        def show(look: DrainLook | None, rate: float) -> None:
            nonlocal most
            if look is None:
                progress.update(task, description=AWAY)
                return
            most = max(most, look.in_flight)
            progress.update(task, total=most or None, completed=most - look.in_flight, description=bar_text(look, rate))

        yield show


def _lines() -> Show:
    last = -LINE_EVERY_SECONDS

    def show(look: DrainLook | None, rate: float) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_SECONDS:
            last = time.monotonic()
            told = AWAY if look is None else printable(progress_sentence(look, rate))
            print(f"ferry: {told}", file=sys.stderr, flush=True)

    return show
