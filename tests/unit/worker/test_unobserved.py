"""Who notices that a task was begun and ended well, so that Celery's own tracer has to run it."""

import logging
from collections.abc import Iterator
from functools import wraps
from typing import Any
from unittest.mock import Mock

import pytest
from celery import Celery, current_task, signals
from celery.app.task import Context
from celery.app.trace import build_tracer

from ferry_worker import TrackedTask
from ferry_worker.unobserved import RAISED_FIELD, UnobservedRuns, is_unobserved
from tests.support.celery_tracer import unobserved

pytestmark = pytest.mark.usefixtures("nobody_observes")


class Noticing(TrackedTask):
    """A task with a handler of its own."""

    def on_success(self, *_: Any) -> None:
        """Notice it."""


class Apart(TrackedTask):
    """A task that is called in its own way."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As any, and tell."""
        return ["apart", super().__call__(*args, **kwargs)]


class Requested(TrackedTask):
    """A task whose function gets the request in place of the message."""

    def __call__(self, *_: Any) -> Any:
        """As it is now."""
        return self.run(self.request)


SIGNALS = [signals.task_prerun, signals.task_postrun, signals.task_success]


@pytest.fixture(autouse=True)
def _nobody_else_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have imported can have receivers of its own."""
    for signal in SIGNALS:
        monkeypatch.setattr(signal, "receivers", [])


@pytest.fixture
def app() -> Iterator[Celery]:
    """One that keeps results nowhere."""
    app = Celery("shop", broker="memory://", set_as_current=False, task_cls=TrackedTask)
    yield app
    app.close()


def task_of(app: Celery, **options: Any) -> Any:
    """A task that returns its message."""

    def take(message: Any) -> Any:
        return message

    return app.task(take, name="shop.order", shared=False, **options)


def test_without_results_receivers_and_handlers_nobody_notices(app: Celery) -> None:
    """As a worker of Ferry's own is by default."""
    assert unobserved(task_of(app))


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_receiver_of_a_signal_notices(app: Celery, signal: Any) -> None:
    """Such as those of Django or OpenTelemetry; once it is gone, nobody does."""

    def receive(**_: Any) -> None:
        """Notice it."""

    task = task_of(app)
    signal.connect(receive)
    try:
        assert not unobserved(task)
    finally:
        signal.disconnect(receive)
    assert unobserved(task)


def test_who_keeps_results_notices(app: Celery) -> None:
    """Unless the task's are left out."""
    app.conf.result_backend = "cache+memory://"
    task = task_of(app)
    assert not unobserved(task)
    task.ignore_result = True
    assert unobserved(task)


def test_a_tracer_around_celerys_notices(app: Celery) -> None:
    """Sentry puts one there, and connects no signal; a tool that replaces what makes tracers has its own."""
    task = task_of(app)
    celerys = build_tracer(task.name, task, app=app)

    @wraps(celerys)
    def around(*args: Any, **kwargs: Any) -> Any:
        return celerys(*args, **kwargs)

    assert is_unobserved(task, celerys)
    assert not is_unobserved(task, around)
    assert not is_unobserved(task, Mock(wraps=celerys))


def test_what_is_around_the_task_that_the_tracer_calls_notices(app: Celery) -> None:
    """As New Relic does it: the tracer is Celery's, the task that it was made for isn't."""
    task = task_of(app)
    assert not is_unobserved(task, build_tracer(task.name, Mock(wraps=task, __wrapped__=task), app=app))


def test_a_handler_of_the_task_notices(app: Celery) -> None:
    """As Celery's own tracer looks for it."""
    assert not unobserved(task_of(app, base=Noticing))


def test_a_loader_of_ones_own_notices(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears of each task's beginning."""
    monkeypatch.setattr(type(app.loader), "on_task_init", lambda *_: None)
    assert not unobserved(task_of(app))


def test_who_reads_celerys_lines_notices(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    """A line about each task that ended well."""
    with caplog.at_level(logging.INFO, "celery.app.trace"):
        assert not unobserved(task_of(app))


def test_a_class_with_its_own_way_to_be_called_is_called_so(app: Celery) -> None:
    """With the request, and as the current task; both are over afterwards."""
    seen: list[Any] = []

    def see(message: Any) -> Any:
        seen.append((message, task.request.id, current_task.name))

    task: Any = app.task(see, name="shop.order", shared=False, base=Apart)
    with UnobservedRuns(task, pytest.fail, {"id": "orders-0-1..2"}) as runs:
        assert runs.run("orders-0-1", "text", {"id": "orders-0-1"}) is None
        assert runs.run("orders-0-2", "more", {"id": "orders-0-2"}) is None
    assert seen == [("text", "orders-0-1", "shop.order"), ("more", "orders-0-2", "shop.order")]
    assert (task.request.id, bool(current_task)) == (None, False)


def test_a_message_has_a_request_of_its_own(app: Celery) -> None:
    """With the fields of its batch, but for those in which they differ, as Celery makes one."""
    seen: list[Any] = []

    def see(request: Any) -> None:
        seen.append(request)

    task: Any = app.task(see, name="shop.order", shared=False, base=Requested)
    batch = {"id": "orders-0-1..2", "timelimit": [30, 20], "delivery_info": {"priority": 3}, "own": "header"}
    with UnobservedRuns(task, pytest.fail, batch) as runs:
        runs.run("orders-0-1", "text", {"id": "orders-0-1", "headers": {"own": "header"}})
        seen[0].left = "by the first"
        seen[0].kwargs["left"] = "by the first"
        runs.run("orders-0-2", "more", {"id": "orders-0-2", "headers": {"own": "header"}})
    first, second = seen
    made = Context(batch | {"id": "orders-0-2"}, args=["more"], kwargs={}, called_directly=False)
    assert vars(second) == vars(made)
    assert (first.id, first.args, first.left) == ("orders-0-1", ["text"], "by the first")


def test_a_request_that_was_left_over_is_gone_with_the_batch(app: Celery) -> None:
    """A soft time limit can strike between any two statements."""
    task = task_of(app)
    task.push_request(id="around")
    with UnobservedRuns(task, pytest.fail, {"id": "orders-0-1..2"}):
        assert task.request.id is None
        task.push_request(id="orders-0-1")
    assert [request.id for request in task.request_stack.stack] == ["around"]


def test_a_task_that_pops_its_own_request_concerns_no_other_message(app: Celery) -> None:
    """Nor what is around the batch."""
    seen: list[Any] = []

    def pop(request: Any) -> None:
        seen.append(request.id)
        task.pop_request()

    task: Any = app.task(pop, name="shop.order", shared=False, base=Requested)
    task.push_request(id="around")
    with UnobservedRuns(task, pytest.fail, {"id": "orders-0-1..2"}) as runs:
        runs.run("orders-0-1", "text", {"id": "orders-0-1"})
        runs.run("orders-0-2", "more", {"id": "orders-0-2"})
    assert seen == ["orders-0-1", "orders-0-2"]
    assert [request.id for request in task.request_stack.stack] == ["around"]


def test_what_a_task_raises_is_for_celerys_tracer(app: Celery) -> None:
    """It gets the same exception, in place of another run."""
    error, traced = LookupError("no"), list[Any]()

    def fail(_message: Any) -> None:
        raise error

    def trace(task_id: str, args: Any, kwargs: Any, request: Any) -> str:
        traced.append((task_id, args, kwargs, request[RAISED_FIELD]))
        return "ended"

    task: Any = app.task(fail, name="shop.order", shared=False, base=Apart)
    with UnobservedRuns(task, trace, {"id": "orders-0-1..2"}) as runs:
        assert runs.run("orders-0-1", "text", {"id": "orders-0-1"}) == "ended"
    assert traced == [("orders-0-1", ["text"], {}, error)]
    assert task.request.id is None
