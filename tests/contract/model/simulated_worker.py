"""A worker: Celery's parent is simulated, its child runs Ferry's task class under Celery's own tracer."""

from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.app.trace import build_tracer
from kombu.utils.json import loads

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import LedgerClient
from ferry_shared.ledger.worker_ledger import HEADER, TaskHeader, WorkerLedger
from ferry_shared.settings import WorkerSettings
from ferry_worker.attempt import OWNER_FIELD, SENT_LIMITS_FIELD
from ferry_worker.request import limits_of
from tests.contract.model.actor import Actor, ChildLost
from tests.contract.model.simulated_transport import Copy, Transport

TASK = "handle"
SETTINGS = WorkerSettings(worker_task_time_limit_seconds=5, worker_lease_margin_seconds=5, worker_redis_wait_seconds=1)
RunTask = Callable[[Any, int], None]


class SeenGroups:
    """Stands for a module's set: which groups' ledgers this process has seen."""

    def __init__(self) -> None:
        self._of: dict[Actor, set[str]] = {}

    def add(self, group: str) -> None:
        """It has seen one."""
        self._of.setdefault(Actor.current(), set()).add(group)

    def __contains__(self, group: object) -> bool:
        return group in self._of.get(Actor.current(), set())


class TaskBench:
    """The app with the one task; what it does is for the oracle to say."""

    def __init__(self, run: RunTask) -> None:
        app = Celery("model", task_cls="ferry_worker.tracked_task:TrackedTask", set_as_current=False)
        app.conf.task_ignore_result = True

        def handle(task: Any, message: dict[str, int]) -> None:
            run(task, message["serial"])

        self.task = app._task_from_fun(handle, name=TASK, bind=True, max_retries=5)
        self.task.__trace__ = build_tracer(TASK, self.task, app=app)


class WorkerProcess:
    """Takes copies, runs each, acknowledges or hands back."""

    def __init__(
        self,
        bench: TaskBench,
        transport: Transport,
        client: LedgerClient,
        prefetch: int,
        child_lost: Callable[[Actor], None],
    ) -> None:
        self._bench, self._transport, self._prefetch = bench, transport, prefetch
        self._reserved: list[tuple[Copy, str]] = []
        self._stopping = False
        self._child_lost = child_lost
        self.ledger = WorkerLedger(client, "")

    def stop(self) -> None:
        """A warm shutdown: finish the task, hand the others back."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped."""
        while not self._stopping:
            while len(self._reserved) < self._prefetch and self._take():
                pass
            Actor.current().idle = not self._reserved
            if self._reserved:
                self._execute(*self._reserved.pop(0))
        while self._reserved:
            copy, _ = self._reserved.pop(0)
            self._step("restore", partial(self._transport.restore, copy.tag))

    def _step(self, what: str, call: Callable[[], Any]) -> Any:
        def disconnected() -> None:
            # Celery forgets what it had reserved and connects again; the copies come back at the visibility timeout.
            self._reserved.clear()

        return Actor.current().step(what, call, disconnected)

    def _take(self) -> bool:
        copy = self._step("BRPOP", self._transport.take)
        if copy is None:
            return False
        owner = uuid4().hex[:16]
        if self._step("hold", lambda: self._transport.hold(copy)):
            self._reserved.append((copy, owner))
        return True

    def _execute(self, copy: Copy, owner: str) -> None:
        actor = Actor.current()
        actor.in_child = True
        try:
            requeue = self._run_in_child(copy, owner)
        except ChildLost:
            actor.in_child = False
            self._child_lost(actor)
            self._release(copy, owner)
            requeue = True
        actor.in_child = False
        if requeue:
            self._step("requeue", lambda: self._transport.restore(copy.tag, leftmost=True))
        else:
            self._step("acknowledge", lambda: self._transport.acknowledge(copy.tag))

    def _run_in_child(self, copy: Copy, owner: str) -> bool:
        """Returns whether the message goes back to the queue."""
        message = copy.fields
        args, kwargs, _ = loads(b64decode(message["body"]).decode())
        headers = {name: value for name, value in message["headers"].items() if value is not None}
        task = self._bench.task
        request = {
            **headers,
            OWNER_FIELD: owner,
            SENT_LIMITS_FIELD: headers["timelimit"],
            "timelimit": limits_of(headers["timelimit"], task, SETTINGS),
            "delivery_info": {"redelivered": False} | message["properties"]["delivery_info"],
        }
        ended = task.__trace__(headers["id"], args, kwargs, request)
        outcome = ended.info.retval if ended.info else None
        return bool(getattr(outcome, "requeue", False))

    def _release(self, copy: Copy, owner: str) -> None:
        header = TaskHeader.of(copy.fields["headers"][HEADER])
        # As the parent does: what it misses, the lease ends.
        with suppress(RedisUnavailable):
            self.ledger.release(header, owner)


def tracking_of_current(workers: dict[Actor, WorkerProcess]) -> Callable[[Any], Any]:
    """Stands for `tracking_of`: the settings, and the ledger through the running worker's client."""

    def tracking_of(_app: Any) -> Any:
        ledger = workers[Actor.current()].ledger
        return SimpleNamespace(settings=SETTINGS, pool_ledger=ledger, parent_ledger=ledger)

    return tracking_of
