"""How far a run is: a bar on a terminal, a line now and then elsewhere; always on standard error."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferry_producer.account import Account
    from ferry_producer.job import Destination, Job

LINE_SECONDS = 10.0
ENDLESS_LINE_SECONDS = 60.0
BAR_SECONDS = 0.25

logger = logging.getLogger("ferry.producer")


@contextmanager
def shown(account: Account, job: Job, destination: Destination, word: str) -> Iterator[None]:
    """Tell the progress while the block runs; `word` is what a message has become that counts as acknowledged."""
    word = word.partition(",")[0]
    # None where standard error is closed.
    tell = _bar if sys.stderr is not None and sys.stderr.isatty() else _lines
    told = tell(account, job, destination, word)
    task = asyncio.create_task(told, name="ferry-producer-progress")
    try:
        yield
    finally:
        task.cancel()


async def _lines(account: Account, job: Job, destination: Destination, word: str) -> None:
    while True:
        await asyncio.sleep(ENDLESS_LINE_SECONDS if job.endless else LINE_SECONDS)
        logger.info(
            "so far %d %s, %d failed, %d waiting", account.acknowledged, word, account.failed, destination.pending
        )


async def _bar(account: Account, job: Job, destination: Destination, word: str) -> None:
    from ferry_producer.progress_bar import bar  # noqa: PLC0415 - for terminals only

    with bar(word) as update:
        while True:
            update(share_done(account, job), account, destination.pending)
            await asyncio.sleep(BAR_SECONDS)


def share_done(account: Account, job: Job) -> float | None:
    """How much of the run is over, from 0 to 1; None where nobody knows how long it will be."""
    if job.count is not None:
        return min(account.handed_over / job.count, 1.0)
    if job.source is not None and job.source.size_bytes:
        return min(job.source.bytes_read / job.source.size_bytes, 1.0)
    return None
