"""One run of the command: source → record → publisher, until the input ends or a signal comes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from ferry_producer import sources
from ferry_producer.input import UnreadableInput
from ferry_producer.pace import Pace
from ferry_producer.progress import shown
from ferry_producer.publisher import STOP_FLUSH_SECONDS
from ferry_producer.report import End
from ferry_producer.stop import Stop, Stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ferry_producer.account import Account
    from ferry_producer.job import Destination, Job, Offer
    from ferry_producer.lines import Line
    from ferry_producer.outgoing import Record

#: Shorter waits cost more than they are worth; the next message waits for both.
MIN_WAIT_SECONDS = 0.001
#: After so many lines signals, delivery reports and the progress line get their turn, even if nothing ever waits.
LINES_AT_ONCE = 1_000

logger = logging.getLogger("ferry.producer")


async def run(
    job: Job, destination: Destination, account: Account, word: str, tell: Callable[[End], object] = lambda _: None
) -> End:
    """Send everything; at the end `tell` it, while another signal can't cut that off.

    Raises:
        FerryError: before anything was sent: Kafka can't be reached, or a setting is refused.
    """
    with Stop(STOP_FLUSH_SECONDS) as stop:
        try:
            offer = await stop.unless_asked(destination.open(account, job.recipe.headers))
        except Stopped:
            logger.info("stopped before anything was sent")
            end = End(finished=False, stopped_by=stop.signal, seconds=0.0, word=word)
            tell(end)
            return end
        started, finished = time.monotonic(), False
        try:
            finished = await _Run(job, destination, offer, account, stop).go(word)
        finally:
            # Whatever has no outcome yet gets one here, so the account is complete.
            await destination.close(0)
            if job.source is not None:
                account.leave(job.source.untaken)
                # After all others: it has no end, and nothing may follow it.
                if job.source.cut_line:
                    account.cut(job.source.cut_line)
        end = End(finished, stop.signal, time.monotonic() - started, word)
        tell(end)
        return end


class _Run:
    """What all steps of one run need."""

    def __init__(self, job: Job, destination: Destination, offer: Offer, account: Account, stop: Stop) -> None:
        self._job = job
        self._destination = destination
        self._offer = offer
        self._account = account
        self._stop = stop
        self._pace = None if job.rate_per_second is None else Pace(job.rate_per_second, time.monotonic)
        #: Messages handed over; lines of the present batch that were handed over or refused.
        self._taken = self._done = 0
        #: A signal came before a line's turn.
        self._interrupted = False

    async def go(self, word: str) -> bool:
        """Return whether everything that was to be read was read."""
        finished = False
        with shown(self._account, self._job, self._destination, word):
            try:
                finished = await self._stop.unless_urged(self._feed())
                async with asyncio.timeout(STOP_FLUSH_SECONDS if self._hopeless else None):
                    await self._stop.unless_urged(self._destination.flush())
            except (Stopped, TimeoutError):
                logger.warning("giving up on what Kafka has not acknowledged")
        return finished

    async def _feed(self) -> bool:
        try:
            async for batch in self._batches():
                await self._send(batch)
                if self._ended:
                    break
                await asyncio.sleep(0)
            else:
                return self._job.endless or not (self._interrupted or (self._job.in_turn and self._stop.asked))
        except Stopped:
            return False
        except UnreadableInput as error:
            # What was read before still counts and is flushed.
            logger.error("%s", error)  # noqa: TRY400 - the sentence says it all, a traceback would hide it
            return False
        if self._hopeless:
            logger.error("Kafka stopped acknowledging: the rest of the input is not read")
        return self._complete

    def _batches(self) -> AsyncIterator[list[Line]]:
        job = self._job
        if job.in_turn:
            return sources.in_turn(job.texts, job.count, job.interval_seconds, self._stop)
        texts = job.texts if job.texts or job.source is not None else sources.default_lines()
        return sources.once(texts, job.source, self._stop)

    @property
    def _hopeless(self) -> bool:
        """With an input that ends, silence ends the run."""
        return self._account.silent and not self._job.endless

    @property
    def _complete(self) -> bool:
        return self._job.count is not None and self._taken >= self._job.count

    @property
    def _ended(self) -> bool:
        stopped = self._job.stop_at_invalid and self._account.invalid
        return bool(self._hopeless or self._complete or stopped or self._account.unkept)

    async def _send(self, batch: Sequence[Line]) -> None:
        """Send or refuse each line, in their order, until the run has ended."""
        self._done = 0
        try:
            while self._done < len(batch) and not self._ended:
                if self._done:
                    await asyncio.sleep(0)
                # A message's time is that of its turn.
                if not await self._turn():
                    self._interrupted = True
                    break
                records, problem = self._job.recipe.records(batch[self._done : self._done + self._most_at_once])
                await self._hand_over(records)
                if self._ended:
                    break
                if problem is not None:
                    self._account.refuse(batch[self._done], str(problem))
                    self._pass(batch[self._done], 1)
        finally:
            # Those beyond --count were not asked for.
            if not self._job.again:
                self._account.leave(batch[self._done :], asked_for=not self._complete)

    @property
    def _most_at_once(self) -> int:
        """No more than what is missing or may go: what is beyond --count isn't even looked at."""
        missing = LINES_AT_ONCE if self._job.count is None else self._job.count - self._taken
        due = LINES_AT_ONCE if self._pace is None else self._pace.due()
        return min(LINES_AT_ONCE, missing, due)

    async def _hand_over(self, records: Sequence[Record]) -> None:
        """Hand over all of them, or as many as there is room for until the run has ended."""
        while records and not self._ended:
            number = self._offer(records)
            if number:
                self._taken += number
                if self._pace is not None:
                    self._pace.take(number)
                self._pass(records[number - 1][0], number)
            records = records[number:]
            if records:
                await self._destination.room()

    def _pass(self, last: Line, number: int) -> None:
        """So many lines, the last of which is this one, are no longer the input's."""
        self._done += number
        self._account.last_line = last.number

    async def _turn(self) -> bool:
        """Wait until the next message may go; False when a signal came first. A line that is refused takes no turn."""
        if self._pace is None:
            return True
        wait = self._pace.wait_seconds()
        if wait > MIN_WAIT_SECONDS:
            await self._stop.sleep(wait)
        return not self._stop.asked
