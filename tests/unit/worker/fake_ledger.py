"""A ledger that answers as it is told, and tasks run by Celery's own tracer against it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from celery import Celery
from celery.app.trace import build_tracer

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.keys import batch_member
from ferry_shared.ledger.singles import Single
from ferry_shared.ledger.worker_ledger import Claimed, Recorded, TaskHeader, Verdict
from ferry_shared.settings import WorkerSettings

FIELDS = {
    "v": 1,
    "ledger": "ledger",
    "group": "ferry",
    "topic": "orders",
    "partition": 0,
    "member": "7",
    "token": "3.1",
    "copy": 1,
    "timestamp_ms": 1_700_000_000_000,
    "enqueued_ms": 1_700_000_000_500,
}


@dataclass
class FakeLedger:
    """Answers `verdict` and `recorded`; the next `lost` calls happen and their replies get lost."""

    verdict: Verdict = Verdict.RUN
    recorded: Recorded = Recorded.RECORDED
    claims: int = 1
    progressed: int | None = None
    truncated_at: int | None = None
    lost: int = 0
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def claim(self, task: TaskHeader, owner: str, **options: Any) -> Claimed:
        """Answer the verdict."""
        self._call("claim", owner, options)
        return Claimed(self.verdict, self.claims, self.progressed, self.truncated_at)

    def done(self, task: TaskHeader, owner: str) -> Recorded:
        """Note it."""
        return self._call("done", owner)

    def fail(self, task: TaskHeader, owner: str, error: str, payload: bytes) -> Recorded:
        """Note it."""
        return self._call("fail", owner, error, payload)

    def retry(self, task: TaskHeader, owner: str, delay_ms: int, payload: bytes) -> Recorded:
        """Note it."""
        return self._call("retry", owner, delay_ms, payload)

    def release(self, task: TaskHeader, owner: str) -> Recorded:
        """Note it."""
        return self._call("release", owner)

    def progress(self, task: TaskHeader, owner: str, done_up_to: int | None, singles: Iterable[Single]) -> Recorded:
        """Note it."""
        return self._call("progress", owner, done_up_to, list(singles))

    def split(self, task: TaskHeader, owner: str, queue: str, priority: int, singles: Iterable[Single]) -> Recorded:
        """Note it."""
        return self._call("split", owner, list(singles))

    def now_ms(self) -> int:
        """Any time."""
        return 1_700_000_000_000

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each call of that name, without the owner."""
        return [call[2:] for call in self.calls if call[0] == name]

    @property
    def names(self) -> list[str]:
        """The calls in order."""
        return [call[0] for call in self.calls]

    def _call(self, *call: Any) -> Recorded:
        self.calls.append(call)
        if self.lost:
            self.lost -= 1
            raise RedisUnavailable
        return self.recorded


class Bench:
    """An app with tracked tasks on a fake ledger, without broker and worker."""

    def __init__(self, monkeypatch: Any, **settings: Any) -> None:
        self.app = Celery("bench", task_cls="ferry_worker.tracked_task:TrackedTask", set_as_current=False)
        self.app.conf.task_ignore_result = True
        self.ledger = FakeLedger()
        self.slept: list[float] = []
        self.settings = WorkerSettings(**settings)
        tracking = SimpleNamespace(settings=self.settings, pool_ledger=self.ledger, parent_ledger=self.ledger)
        monkeypatch.setattr("ferry_worker.tracked_task.tracking_of", lambda _app: tracking)
        monkeypatch.setattr("ferry_worker.unreached.tracking_of", lambda _app: tracking)
        monkeypatch.setattr("time.sleep", self.slept.append)
        monkeypatch.setattr("ferry_worker.attempt._seen_groups", set())

    def task(self, function: Callable[..., Any], **options: Any) -> Any:
        """Register a function as a tracked task."""
        function.__name__ = "task"  # Celery makes a function of that name, and a lambda has none
        return self.app._task_from_fun(function, name="tests.task", **options)

    def run(self, task: Any, *args: Any, fields: Any = FIELDS, kwargs: Any = None, **request: Any) -> tuple[str, Any]:
        """Run a task as a pool process does; returns Celery's state, and what it returned or raised."""
        headers = {"id": "orders-0-7", "ferry": fields, "ferry_owner": "owner", "delivery_info": {}, **request}
        task.__trace__ = build_tracer(task.name, task, app=self.app)
        fields_sent = {key: value for key, value in headers.items() if value is not None}
        ended = task.__trace__("orders-0-7", args, kwargs or {}, fields_sent)
        if ended.info is None:
            return "SUCCESS", ended.retval
        return ended.info.state, ended.info.retval

    def run_batch(self, task: Any, *payloads: str, **request: Any) -> Any:
        """Run a batch of these texts as a pool process does; returns Celery's answer."""
        offsets = list(range(7, 7 + len(payloads)))
        fields = FIELDS | {
            "v": 2,
            "member": batch_member(offsets),
            "offsets": offsets,
            "timestamps_ms": [None] * len(offsets),
        }
        task_id = TaskHeader.of(fields).task_id.text
        headers = {
            "id": task_id, "task": task.name, "ferry": fields, "ferry_owner": "owner", "delivery_info": {},
            "timelimit": [300, 270.0], "ferry_sent_limits": [None, None], **request,
        }  # fmt: skip
        task.__trace__ = build_tracer(task.name, task, app=self.app)
        return task.__trace__(task_id, [list(payloads)], {}, headers)
