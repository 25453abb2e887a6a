"""One run of the command: source → publisher, until the input ends or a signal comes."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_producer import sources
from ferry_producer.publisher import STOP_FLUSH_SECONDS, Publisher
from ferry_producer.report import Tally, exit_code, sentence
from ferry_producer.stop import Stop, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_producer.lines import Line
    from ferry_shared.settings import ProducerSettings

PROGRESS_SECONDS = 10.0
FOREVER_PROGRESS_SECONDS = 60.0

logger = logging.getLogger("ferry.producer")


@dataclass(frozen=True, slots=True)
class Job:
    """What one run sends: `texts` (none: the default texts), each with `key`; in turn for ever if `forever`.

    `-` among the texts stands for the lines of `descriptor`.
    """

    texts: Sequence[Line]
    key: str | None
    forever: bool
    descriptor: int | None = None


async def run(job: Job, settings: ProducerSettings, publisher: Publisher) -> int:
    """Send everything and return the exit code.

    Raises:
        FerryError: before anything was sent: Kafka can't be reached, or a setting is refused.
    """
    with Stop(STOP_FLUSH_SECONDS) as stop:
        try:
            await stop.unless_asked(publisher.open())
        except Stopped:
            logger.info("stopped before anything was sent")
            return exit_code(Tally(), stop.signal, finished=False)
        tally, started = Tally(), time.monotonic()
        try:
            finished = await _send_all(job, settings, publisher, tally, stop)
        finally:
            # Whatever has no outcome yet gets one here, so the account is complete.
            await publisher.close(0)
            line = sentence(tally, time.monotonic() - started, confirmed=settings.producer_acks != "0")
            logger.log(logging.ERROR if tally.failed or tally.unsent else logging.INFO, "%s", line)
        return exit_code(tally, stop.signal, finished=finished)


async def _send_all(job: Job, settings: ProducerSettings, publisher: Publisher, tally: Tally, stop: Stop) -> bool:
    progress = asyncio.create_task(_progress(tally, publisher, job.forever), name="ferry-producer-progress")
    finished = False
    try:
        finished = await stop.unless_urged(_feed(job, settings, publisher, tally, stop))
        async with asyncio.timeout(STOP_FLUSH_SECONDS if _hopeless(job, tally) else None):
            await stop.unless_urged(publisher.flush())
    except (Stopped, TimeoutError):
        logger.warning("giving up on what Kafka has not acknowledged")
    finally:
        progress.cancel()
    return finished


async def _feed(job: Job, settings: ProducerSettings, publisher: Publisher, tally: Tally, stop: Stop) -> bool:
    """Send what the source gives; return whether it came to its end."""
    if job.forever:
        batches = sources.forever(job.texts, settings.producer_interval_seconds, stop)
    else:
        batches = sources.once(job.texts or sources.default_lines(), job.descriptor, stop)
    try:
        async for batch in batches:
            await _send(batch, job, publisher, tally)
            if _hopeless(job, tally):
                logger.error("Kafka stopped acknowledging: the rest of the input is not read")
                return False
            # Signals, delivery reports and the progress line get their turn even if nothing ever waits.
            await asyncio.sleep(0)
    except Stopped:
        return False
    except sources.UnreadableInput as error:
        # What was read before still counts and is flushed.
        logger.error("%s", error)  # noqa: TRY400 - the sentence says it all, a traceback would hide it
        return False
    return True


def _hopeless(job: Job, tally: Tally) -> bool:
    """With an input that ends, silence ends the run; `--forever` outlives any outage."""
    return tally.silent and not job.forever


async def _send(batch: Sequence[Line], job: Job, publisher: Publisher, tally: Tally) -> None:
    taken = 0
    try:
        for line in batch:
            if _hopeless(job, tally):
                break
            try:
                message = sources.message_from(line.content)
            except sources.InvalidText as error:
                tally.invalid += 1
                logger.warning("line %d is invalid and not sent: %s", line.number, error)
            else:
                await publisher.enqueue(message, tally.settle, key=job.key)
            taken += 1
    finally:
        tally.unsent += len(batch) - taken


async def _progress(tally: Tally, publisher: Publisher, forever: bool) -> None:
    while True:
        await asyncio.sleep(FOREVER_PROGRESS_SECONDS if forever else PROGRESS_SECONDS)
        logger.info(
            "so far %d acknowledged, %d failed, %d waiting", tally.acknowledged, tally.failed, publisher.pending
        )
