"""The bar on a terminal: share, rate, acknowledged, failed, waiting, time left."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ferry_producer.account import Account

    Update = Callable[[float | None, Account, int], None]


@contextmanager
def bar(word: str) -> Iterator[Update]:
    """Show it while the block runs, the log's lines above it; call what is given with the state of things.

    `word` is what a message has become that counts as acknowledged.
    """
    progress = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = progress.add_task("", total=None)

    def update(share: float | None, account: Account, pending: int) -> None:
        seconds = progress.tasks[0].elapsed or 0.0
        rate = account.acknowledged / seconds if seconds else 0.0
        progress.update(
            task,
            total=None if share is None else 1.0,
            completed=share or 0.0,
            description=f"{rate:,.0f}/s  {account.acknowledged:,} {word}  {account.failed:,} failed  "
            f"{pending:,} waiting",
        )

    streams = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    with progress:
        # While the bar is there, rich moves what is written to standard error above it.
        before = [handler.setStream(sys.stderr) for handler in streams]
        try:
            yield update
        finally:
            for handler, stream in zip(streams, before, strict=True):
                if stream is not None:
                    handler.setStream(stream)
