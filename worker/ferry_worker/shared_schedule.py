"""Beat's scheduler for one beat or several: each entry is sent once, whoever is killed, paused or restarted.

Every beat watches every entry. What is due is sent by the one whose claim succeeds (`last_runs`), so there is no
holder that others must wait for, and none that comes back and sends again. A beat of its own app: `beat_scheduler =
"ferry_worker.shared_schedule:SharedScheduler"`.
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery.beat import Scheduler
from celery.utils.time import maybe_make_aware

from ferry_shared.errors import ConfigurationError, RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_worker.configuration import exit_for
from ferry_worker.last_runs import MICROSECONDS, LastRun, LastRuns, Look
from ferry_worker.tracking import tracking_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

log = logging.getLogger("ferry.beat")

#: The longest sleep: how soon a beat notices that Redis has lost the last runs, and puts back those it knows.
LOOK_EVERY_SECONDS = 1.0
#: After that nothing is sent until the other beats, which may know later ones, have put back theirs.
SETTLE_SECONDS = 2.0
#: A schedule whose own code fails is asked again after this time, as it would be by Celery after its longest sleep.
BROKEN_FOR_SECONDS = 60.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NotDue:
    """A schedule wasn't due after `run`, and needn't be asked again before `until_us` (microseconds since 1970)."""

    schedule: Any
    run: LastRun
    until_us: float


class SharedScheduler(Scheduler):
    """Celery's in-memory scheduler; the last runs are in Redis, and a run is claimed there before it is sent."""

    max_interval = LOOK_EVERY_SECONDS

    def __init__(self, app: Any, *arguments: Any, lazy: bool = False, **options: Any) -> None:
        """As Celery's; `lazy`: made for the banner only, touches nothing."""
        self._sender = secrets.token_hex(4)
        self._known: dict[str, LastRun] = {}
        self._sent: dict[str, LastRun] = {}
        self._answers: dict[str, NotDue] = {}
        self._away_since: float | None = None
        super().__init__(app, *arguments, lazy=lazy, **options)
        self.max_interval = min(self.max_interval, LOOK_EVERY_SECONDS)

    def setup_schedule(self) -> None:
        """Take the app's entries, and Celery's own clean-up of results where the app needs it.

        Celery's in-memory scheduler adds the clean-up first, and its merge then removes it.
        """
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.schedule)
        _ = self._last_runs

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due, and return after how many seconds to look again. Redis away: nothing, and soon again."""
        try:
            pause = self._turn()
        except RedisUnavailable as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("nothing is sent on schedule while Redis is away: %s", error)
            return self.max_interval
        if self._away_since is not None:
            log.info("Redis is back after %.0f s", time.monotonic() - self._away_since)
            self._away_since = None
        return pause

    def close(self) -> None:
        """Release the connections."""
        super().close()
        self._last_runs.close()

    @cached_property
    def _last_runs(self) -> LastRuns:
        try:
            tracking = tracking_of(self.app)
        except ConfigurationError as error:
            exit_for(error)
        settings = tracking.settings
        client = connect(tracking.ledger_url)
        return LastRuns(client, settings.ferry_key_prefix, settings.consumer_group, self.app.main or "")

    def _turn(self) -> float:
        # Connected before anything is recorded; its first use waits for the broker.
        _ = self.producer
        look = self._last_runs.look()
        unknown = to_put_back(self.schedule.keys(), look, self._known)
        if unknown:
            self._last_runs.put_back(unknown)
            lost = len(unknown.keys() & self._known.keys())
            self._known |= unknown
            if lost:
                log.warning("Redis had lost when %d schedules ran last; put back from memory", lost)
                return SETTLE_SECONDS
            return 0.0
        self._known = {name: look.runs[name] for name in self.schedule}
        return min([self._attend(entry, look) for entry in list(self.schedule.values())], default=self.max_interval)

    def _attend(self, entry: Any, look: Look) -> float:
        """Send an entry if it is due and this beat's to send; returns the seconds until it must be looked at again."""
        run = look.runs[entry.name]
        if run.sender == self._sender and run != self._sent.get(entry.name):
            # Recorded by a claim of ours whose reply was lost.
            self._send(entry, run)
            return 0.0
        is_due, seconds = self._ask(entry, run, look.now_us)
        if not is_due:
            return min(seconds, self.max_interval)
        wanted = LastRun(look.now_us, self._sender)
        if self._last_runs.claim(entry.name, run, wanted):
            self._send(entry, wanted)
        return 0.0

    def _send(self, entry: Any, run: LastRun) -> None:
        # Noted before: what fails while it is published may be in the queue, so it isn't tried again.
        self._sent[entry.name] = self._known[entry.name] = run
        entry.last_run_at = _EPOCH + timedelta(microseconds=run.at_us)
        entry.total_run_count += 1
        self.apply_entry(entry, producer=self.producer)

    def _ask(self, entry: Any, run: LastRun, now_us: int) -> tuple[bool, float]:
        """Ask an entry's schedule, unless its last answer still holds."""
        answer = self._answers.get(entry.name)
        if answer and answer.schedule is entry.schedule and answer.run == run and now_us < answer.until_us:
            return False, (answer.until_us - now_us) / MICROSECONDS
        try:
            is_due, seconds = ask(entry.schedule, run.at_us, now_us)
        except Exception:  # a schedule is anybody's code, and must not stop the others
            log.exception("the schedule of %r can't tell when it is due, asked again in 60 s", entry.name)
            is_due, seconds = False, BROKEN_FOR_SECONDS
        if not is_due:
            self._answers[entry.name] = NotDue(entry.schedule, run, now_us + seconds * MICROSECONDS)
        return is_due, seconds


def to_put_back(names: Iterable[str], look: Look, known: Mapping[str, LastRun]) -> dict[str, LastRun]:
    """Return the runs that Redis lacks: those it has lost, and the beginning of entries that nobody has met before."""
    wanted = {name: known.get(name) or look.runs.get(name) or LastRun(look.now_us) for name in names}
    return {name: run for name, run in wanted.items() if name not in look.runs or look.runs[name].at_us < run.at_us}


def ask(schedule: Any, last_us: int, now_us: int) -> tuple[bool, float]:
    """Ask a schedule whether it is due at `now_us` after a last run at `last_us`, and in how many seconds to ask again.

    Of the schedule's own clock (`nowfun`) only the time zone counts.
    """
    zone = maybe_make_aware(schedule.now()).tzinfo
    last, now = ((_EPOCH + timedelta(microseconds=us)).astimezone(zone) for us in (last_us, now_us))
    with _clock_at(schedule, now):
        is_due, seconds = schedule.is_due(last)
    return bool(is_due), float(seconds) if seconds else LOOK_EVERY_SECONDS


@contextmanager
def _clock_at(schedule: Any, now: datetime) -> Iterator[None]:
    """Stop a schedule's clock: due times must not depend on the host's."""
    own = schedule.nowfun
    schedule.nowfun = lambda: now
    try:
        yield
    finally:
        schedule.nowfun = own
