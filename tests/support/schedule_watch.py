"""Watch what beats do: every run they record, and every task they queue."""

import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import redis

from ferry_worker.last_runs import MICROSECONDS, LastRun
from ferry_worker.schedule import STATUS_QUEUE, STATUS_TASK

_POLL_SECONDS = 0.01


class ScheduleWatch:
    """Collects the runs of one entry and the tasks in its queue, as often as it is asked to look."""

    def __init__(self, client: redis.Redis, entry: str = STATUS_TASK, queue: str = STATUS_QUEUE, key: str = "") -> None:
        """`key` is the hash of the last runs; default: the one of Ferry's own app and group."""
        self.key = key or "ferry:beat:ferry:ferry_worker"
        self.runs: list[LastRun] = []
        self.task_ids: list[str] = []
        #: The longest time in seconds between two looks: a run could go unseen in an interval or more.
        self.blind_seconds = 0.0
        self._senders: list[int] = []
        self._looked_at: float | None = None
        self._client = client
        self._entry = entry
        self._queue = queue

    def look(self) -> int:
        """Collect what is new; returns the number of runs so far."""
        now = time.monotonic()
        self.blind_seconds = max(self.blind_seconds, now - (self._looked_at or now))
        self._looked_at = now
        stored = self._client.hget(self.key, self._entry)
        assert stored is None or isinstance(stored, bytes)
        run = LastRun.parse(stored.decode()) if stored else None
        if run and run.sender != "first" and run not in self.runs:
            self.runs.append(run)
        # Nothing is taken out: a server that is killed may forget that, and have it again.
        queued: Any = self._client.lrange(self._queue, 0, -1)
        all_headers = [json.loads(raw)["headers"] for raw in reversed(queued)]
        assert len({headers["id"] for headers in all_headers}) == len(all_headers), "a task is queued twice"
        for headers in all_headers:
            if headers["id"] not in self.task_ids:
                self.task_ids.append(headers["id"])
                self._senders.append(int(headers["origin"].removeprefix("gen").partition("@")[0]))
        return len(self.runs)

    def wait_for_runs(self, more: int, timeout_seconds: float = 60.0) -> None:
        """Look until there are so many more runs than now, each with its task in the queue."""
        wanted = len(self.runs) + more
        self.look_until(lambda: len(self.runs) >= wanted and len(self.task_ids) == len(self.runs), timeout_seconds)

    def rest(self) -> None:
        """Nothing can happen until the next look: the time until then isn't a blind one."""
        self._looked_at = None

    def look_for(self, seconds: float) -> None:
        """Look for so long."""
        end = time.monotonic() + seconds
        self.look_until(lambda: time.monotonic() > end, seconds + 60.0)

    def look_until(self, condition: Callable[[], bool], timeout_seconds: float) -> None:
        """Look until it holds."""
        deadline = time.monotonic() + timeout_seconds
        while self.look() is not None and not condition():
            assert time.monotonic() < deadline, f"in time only {len(self.runs)} runs, {len(self.task_ids)} tasks"
            time.sleep(_POLL_SECONDS)

    @property
    def last_sender(self) -> int:
        """The process id of the beat that queued the latest task."""
        return self._senders[-1]

    @property
    def senders(self) -> set[int]:
        """The process ids of all beats that queued a task."""
        return set(self._senders)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the runs, by the server's clock."""
        return [(later.at_us - earlier.at_us) / MICROSECONDS for earlier, later in pairwise(self.runs)]
