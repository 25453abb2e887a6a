"""`track` on an app that exists: its task class and its configuration stay its own, and the ledger is completed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task, _state, shared_task, signals
from celery.worker.request import Request

from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.worker_ledger import Recorded
from ferry_shared.routes import Route
from ferry_shared.settings import WorkerSettings
from ferry_worker import TrackedTask, track
from ferry_worker.configuration import tracked_configuration
from ferry_worker.start_checks import check
from ferry_worker.transport import TRANSPORT_NAME
from tests.unit.worker.fake_ledger import Bench

SETTINGS = WorkerSettings()
PAYLOAD = '{"number": 5}'


@pytest.fixture
def events() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, events: list[str]) -> Bench:
    """A bench whose ledger notes what it is told among the other events."""
    bench = Bench(monkeypatch)
    note: Callable[..., Recorded] = bench.ledger._call

    def called(name: str, *arguments: Any) -> Recorded:
        events.append(name)
        return note(name, *arguments)

    monkeypatch.setattr(bench.ledger, "_call", called)
    return bench


def handle(order: Any) -> None:
    """Take a message."""


def app_of(bench: Bench, task_class: Any = None) -> Any:
    """A user's app with a task class of its own, tracked, on the bench."""
    bench.app = Celery("existing", task_cls=task_class, set_as_current=False)
    track(bench.app)
    bench.app.conf.task_ignore_result = True
    return bench.app


def classes_with_a_context(events: list[str]) -> dict[str, type[Task]]:
    """The two ways in which people write a task class that does something around its tasks."""

    @contextmanager
    def context() -> Iterator[None]:
        events.append("enter")
        yield
        events.append("leave")

    class RunsItself(Task):
        """As in Flask's documentation."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with context():
                return self.run(*args, **kwargs)

    class LeavesItToCelery(Task):
        """As in Celery's."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with context():
                return super().__call__(*args, **kwargs)

    return {found.__name__: found for found in (RunsItself, LeavesItToCelery)}


WAYS = ["RunsItself", "LeavesItToCelery"]


@pytest.mark.parametrize("way", WAYS)
def test_a_task_runs_within_what_its_apps_class_does(bench: Bench, events: list[str], way: str) -> None:
    """After the claim, before the outcome, once, and with the message instead of its text."""
    app_of(bench, classes_with_a_context(events)[way])

    def run(self: Any, order: Any) -> tuple[Any, str]:
        events.append("run")
        return order, self.request.id

    task = bench.task(run, bind=True)
    assert bench.run(task, PAYLOAD) == ("SUCCESS", ({"number": 5}, "orders-0-7"))
    assert events == ["claim", "enter", "run", "leave", "done"]


@pytest.mark.parametrize("way", WAYS)
def test_so_does_a_class_for_some_tasks(bench: Bench, events: list[str], way: str) -> None:
    """`base=`: a subclass of the app's own class, or of Ferry's, may have a `__call__` of either kind."""
    own = classes_with_a_context(events)[way]
    app = app_of(bench)

    def run(order: Any) -> None:
        events.append("run")

    for number, base in enumerate((app.Task, TrackedTask)):
        events.clear()
        made = type("Base", (own, base), {"__call__": own.__call__, "abstract": True})
        task = app._task_from_fun(run, name=f"tests.{number}", base=made)
        assert bench.run(task, PAYLOAD) == ("SUCCESS", None)
        assert events == ["claim", "enter", "run", "leave", "done"]


@pytest.mark.parametrize("way", WAYS)
def test_without_a_message_it_is_the_apps_own(bench: Bench, events: list[str], way: str) -> None:
    """Called in the usual way the ledger hears nothing of it."""
    app_of(bench, classes_with_a_context(events)[way])
    task = bench.task(lambda order: order)
    assert bench.run(task, 7, fields=None) == ("SUCCESS", 7)
    assert task(8) == 8
    assert events == ["enter", "leave"] * 2


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_calls_itself_is_recorded_once(bench: Bench, events: list[str], way: str) -> None:
    """The inner calls are plain ones of the app's class."""
    app_of(bench, classes_with_a_context(events)[way])
    task = bench.task(lambda self, order: order if order == 0 else self(order - 1), bind=True)
    assert bench.run(task, "2") == ("SUCCESS", 0)
    assert events == ["claim", *["enter"] * 3, *["leave"] * 3, "done"]


def test_an_error_of_the_apps_class_is_the_tasks(bench: Bench, events: list[str]) -> None:
    """What it does at the end, such as a commit, belongs to the task: when it fails, nothing is done."""

    class Commits(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.run(*args, **kwargs)
            raise ConnectionError("not committed")

    app_of(bench, Commits)
    state, _ = bench.run(bench.task(lambda order: None), PAYLOAD)
    assert (state, events) == ("FAILURE", ["claim", "fail"])
    assert bench.ledger.named("fail") == [("ConnectionError: not committed", PAYLOAD.encode())]


@pytest.mark.parametrize("way", WAYS)
def test_retries_wait_in_the_ledger(bench: Bench, events: list[str], way: str) -> None:
    """`autoretry_for` and `self.retry` are Ferry's also with a class of the app's own."""
    app_of(bench, classes_with_a_context(events)[way])

    def fail(order: Any) -> None:
        raise OSError("away")

    task = bench.task(fail, autoretry_for=(OSError,), default_retry_delay=7)
    state, _ = bench.run(task, PAYLOAD)
    assert (state, bench.ledger.named("retry")[0][0]) == ("RETRY", 7_000)
    assert "fail" not in events


def test_an_overridden_class_is_kept(bench: Bench, events: list[str]) -> None:
    """`app.Task = …`, as older guides have it; Celery's own `app.Task`, if it was used before, is kept too."""
    for used in (False, True):
        events.clear()
        app = Celery("older", set_as_current=False)
        context = classes_with_a_context(events)["LeavesItToCelery"]
        app.Task = type("ContextTask", (context, app.Task if used else Task), {"abstract": True})
        track(app)
        app.conf.task_ignore_result = True
        bench.app = app
        assert bench.run(bench.task(lambda order: None), PAYLOAD) == ("SUCCESS", None)
        assert events == ["claim", "enter", "leave", "done"]


def test_shared_tasks_are_tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """They get the class of each app, whenever they are defined."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    apps = [Celery(name, set_as_current=False) for name in ("tracked", "other")]
    track(apps[0])

    @shared_task(name="tests.shared_task", bind=True)
    def shared(self: Any, order: dict[str, int]) -> None: ...

    tasks = [app.tasks["tests.shared_task"] for app in apps]
    assert [isinstance(task, TrackedTask) for task in tasks] == [True, False]
    assert tasks[0].message_parameter.name == "order"


def test_track_twice_is_track_once(bench: Bench, events: list[str]) -> None:
    """Its class is left as it is."""
    app = app_of(bench, classes_with_a_context(events)["RunsItself"])
    before = app.task_cls
    track(app)
    assert app.task_cls is before
    bench.run(bench.task(lambda order: None), PAYLOAD)
    assert events == ["claim", "enter", "leave", "done"]


def configured_app(monkeypatch: pytest.MonkeyPatch, namespace: str | None, when: str, **settings: Any) -> Any:
    """An app that is configured by an object, as Django's and Flask's are, before or after `track`, or read before."""
    prefix = f"{namespace}_" if namespace else ""
    names = {prefix + name: value for name, value in settings.items()}
    source = SimpleNamespace(**{name.upper() if namespace else name: value for name, value in names.items()})
    monkeypatch.setitem(sys.modules, "project_settings", source)
    app = Celery("project", set_as_current=False)
    if when == "after":
        track(app)
    app.config_from_object("project_settings", namespace=namespace)
    if when == "read":
        assert app.conf.task_acks_late is False
    if when != "after":
        track(app)
    return app


each_namespace = pytest.mark.parametrize("namespace", [None, "CELERY"])
each_moment = pytest.mark.parametrize("when", ["before", "after", "read"])


@each_namespace
@each_moment
def test_what_the_object_says_wins(monkeypatch: pytest.MonkeyPatch, namespace: str | None, when: str) -> None:
    """The app's own settings stay, its dictionaries are added to, and the rest is what the ledger needs."""
    app = configured_app(
        monkeypatch,
        namespace,
        when,
        task_time_limit=100,
        task_track_started=True,
        broker_transport_options={"visibility_timeout": 3_600, "max_connections": 7},
    )
    needed = tracked_configuration(SETTINGS)
    assert (app.conf.task_time_limit, app.conf.task_track_started, app.conf.task_acks_late) == (100, True, True)
    assert app.conf.broker_transport_options == needed["broker_transport_options"] | {
        "visibility_timeout": 3_600,
        "max_connections": 7,
    }
    assert app.conf.visibility_timeout == SETTINGS.visibility_timeout_seconds
    app.finalize()
    check(app, SETTINGS, ())


@each_namespace
@each_moment
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("task_time_limit", 1_800, r"1800 s: expected at most WORKER_TASK_TIME_LIMIT_SECONDS \(300\)"),
        (
            "broker_transport_options",
            {"visibility_timeout": 60},
            "visibility_timeout in broker_transport_options is 60",
        ),
        ("broker_transport_options", {"global_keyprefix": "shop:"}, "FERRY_KEY_PREFIX"),
        ("accept_content", ["pickle"], "accept_content"),
    ],
)
def test_what_breaks_the_promises_is_refused(
    monkeypatch: pytest.MonkeyPatch, namespace: str | None, when: str, name: str, value: object, told: str
) -> None:
    """An app's own settings are checked wherever they come from."""
    app = configured_app(monkeypatch, namespace, when, **{name: value})
    app._task_from_fun(handle, name="handleOrder")
    app.finalize()
    with pytest.raises(ConfigurationError, match=told):
        check(app, SETTINGS, ())


@pytest.mark.parametrize(
    ("configured", "limits", "bound"),
    [
        ({}, {}, (300, 270)),
        ({}, {"time_limit": 10}, (10, None)),
        ({"task_time_limit": 60}, {}, (60, None)),
        ({"task_time_limit": 60, "task_soft_time_limit": 50}, {}, (60, 50)),
        ({}, {"soft_time_limit": 5, "time_limit": 10}, (10, 5)),
    ],
)
def test_a_task_with_a_limit_of_its_own_can_be_called(
    configured: dict[str, int], limits: dict[str, int], bound: tuple[int, int | None]
) -> None:
    """Celery would refuse to send it with the soft limit of the longer one."""
    app = Celery("limits", broker="memory://", set_as_current=False)
    track(app)
    app.conf.update(configured)
    task = app._task_from_fun(handle, name="handleOrder", **limits)
    app.finalize()
    assert (task.time_limit, task.soft_time_limit) == bound
    assert task.delay({}).id


def test_a_prefix_that_both_have_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer finds the app's queues by the same one."""
    settings = WorkerSettings(ferry_key_prefix="shop:")
    app = configured_app(monkeypatch, "CELERY", "before", broker_transport_options={"global_keyprefix": "shop:"})
    app.finalize()
    check(app, settings, ())


@dataclass(eq=False)
class Worker:
    """Stands for Celery's, which tells that it starts."""

    app: Any


@pytest.mark.parametrize(
    ("configured", "transport"),
    [
        ({"broker_url": "redis://broker.invalid/0"}, TRANSPORT_NAME),
        ({"broker_url": "rediss://broker.invalid/0"}, TRANSPORT_NAME),
        ({"broker_url": "redis://broker.invalid/0", "broker_transport": "shop.transport:Own"}, "shop.transport:Own"),
        ({"broker_url": "memory://"}, None),
        ({"broker_url": "memory://", "broker_read_url": "redis://broker.invalid/0"}, TRANSPORT_NAME),
    ],
)
@each_namespace
def test_a_worker_gets_ferrys_transport_unless_it_has_one(
    monkeypatch: pytest.MonkeyPatch, namespace: str | None, configured: dict[str, str], transport: str | None
) -> None:
    """A subclass of the user's own is left alone, and so is another kind of broker."""
    app = configured_app(monkeypatch, namespace, "before", **configured)
    other = configured_app(monkeypatch, namespace, "before", **configured)
    signals.worker_init.send(sender=Worker(app))
    assert app.conf.broker_transport == transport
    assert other.conf.broker_transport == configured.get("broker_transport")


def test_a_request_class_of_its_own_is_refused() -> None:
    """The ledger would not hear of time limits and lost processes."""

    class OwnTask(Task):
        Request = Request

    app = Celery("existing", task_cls=OwnTask, set_as_current=False)
    track(app)
    app._task_from_fun(handle, name="handleOrder")
    app.finalize()
    with pytest.raises(ConfigurationError, match=r"'handleOrder' .* ferry_worker.request.TrackedRequest"):
        check(app, SETTINGS, (Route("orders", dict, "handleOrder"),))
