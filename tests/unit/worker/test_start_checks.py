"""What a worker refuses or warns of before its first message, and what `track` makes of an app that exists."""

import typing
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from celery import Celery, Task, signals

from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import JsonSchema, Route
from ferry_shared.settings import WorkerSettings
from ferry_worker import TrackedTask, track
from ferry_worker.start_checks import check, warnings
from ferry_worker.tracking import tracking_of

SETTINGS = WorkerSettings()


class Starting:
    """What Celery's signal names as the worker that starts."""

    def __init__(self, app: Any) -> None:
        self.app = app


def handle(order: dict[str, int]) -> None:
    """Take a message."""


def existing_app(**configuration: Any) -> Any:
    """Return a user's app, made and configured before `track`."""
    app = Celery("existing", set_as_current=False)
    app.conf.update(configuration)
    return app


def tracked_app(**configuration: Any) -> Any:
    """Return one that `track` has been called for."""
    app = existing_app(**configuration)
    track(app)
    return app


def test_track_makes_the_tasks_that_follow_tracked() -> None:
    """A task registered after the call completes the ledger, one with a base of its own doesn't."""
    app = tracked_app()
    follows, own = app.task(shared=False, name="follows")(handle), app.task(shared=False, name="own", base=Task)(handle)
    assert isinstance(follows, TrackedTask)
    assert not isinstance(own, TrackedTask)


def test_track_works_on_an_app_that_has_tasks_already() -> None:
    """Celery makes its task class once; what was registered before stays as it is."""
    app = existing_app()
    before = app._task_from_fun(handle, name="before")
    track(app)
    after = app._task_from_fun(handle, name="after")
    assert (isinstance(before, TrackedTask), isinstance(after, TrackedTask)) == (False, True)


def test_track_reads_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting is told when the app is used, not when a module is imported."""
    monkeypatch.setenv("WORKER_TASK_TIME_LIMIT_SECONDS", "soon")
    app = tracked_app()
    with pytest.raises(ConfigurationError, match="WORKER_TASK_TIME_LIMIT_SECONDS"):
        _ = app.conf.task_time_limit


def test_track_sets_what_the_ledger_needs() -> None:
    """An app without any of it passes the checks."""
    app = tracked_app()
    app.finalize()
    check(app, SETTINGS, ())
    assert (app.conf.task_acks_late, app.conf.task_reject_on_worker_lost) == (True, True)


@pytest.mark.parametrize(
    ("url", "configured", "expected"),
    [
        (None, "redis://broker/1", "redis://broker/1"),
        ("redis://ledger/2", "redis://broker/1", "redis://ledger/2"),
        ("redis://ledger/2", "amqp://broker", "redis://ledger/2"),
    ],
)
def test_the_ledger_is_the_named_one_or_the_broker(url: str | None, configured: str, expected: str) -> None:
    """`track(app, ledger_url=…)` wins, then the app's own broker."""
    app = existing_app(broker_url=configured)
    track(app, ledger_url=url)
    assert tracking_of(app).ledger_url == expected


def test_a_broker_that_is_not_redis_needs_a_ledger() -> None:
    """Without `ledger_url` it is refused."""
    with pytest.raises(ConfigurationError, match="FERRY_LEDGER_URL"):
        tracking_of(tracked_app(broker_url="amqp://broker"))


@pytest.mark.parametrize(
    ("configuration", "named"),
    [
        ({"broker_transport_options": {"visibility_timeout": 100}}, "broker_transport_options"),
        ({"visibility_timeout": 100}, "visibility_timeout"),
        ({"result_backend_transport_options": {"visibility_timeout": 315}}, "result_backend_transport_options"),
        ({"task_time_limit": 301}, "WORKER_TASK_TIME_LIMIT_SECONDS"),
    ],
)
def test_a_configuration_that_breaks_the_promises_is_refused(configuration: dict[str, Any], named: str) -> None:
    """What the app configures itself wins over Ferry's defaults, so it is checked."""
    app = tracked_app(**configuration)
    app.task(shared=False, name="follows")(handle)
    app.finalize()
    with pytest.raises(ConfigurationError, match=named):
        check(app, SETTINGS, ())


def test_a_task_without_hard_limit_is_refused() -> None:
    """Its claim could never end."""
    app = tracked_app(task_time_limit=None)
    app.finalize()
    with pytest.raises(ConfigurationError, match="has no hard time limit"):
        check(app, SETTINGS, ())


def test_an_untracked_task_of_a_route_is_refused() -> None:
    """It would run, and its messages would be sent again and again."""
    app = tracked_app()
    app.task(shared=False, name="own", base=Task)(handle)
    app.finalize()
    with pytest.raises(ConfigurationError, match=r"'own' of topic orders .* ferry_worker.TrackedTask"):
        check(app, SETTINGS, (Route("orders", dict, "own"),))


@pytest.mark.parametrize(
    "annotation", [dict, dict[str, int], tuple[int, ...], "list[Nothing]", Annotated[list[int], 1]]
)
def test_a_task_that_takes_no_list_and_says_so_is_refused(
    annotation: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one sentence and exit code 2, also without routes: no batch may come to it."""

    def take(orders: Any) -> None: ...

    take.__annotations__["orders"] = annotation
    app = tracked_app(broker_url="redis://broker.invalid/0")
    app._task_from_fun(take, name="take", takes_list=True)
    with pytest.raises(SystemExit) as ended:
        signals.worker_init.send(Starting(app))
    assert ended.value.code == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "the type of 'orders' can't be used: " in sentence


@pytest.mark.parametrize("annotation", [list, list[int], typing.List, typing.List[int], Any, None])  # noqa: UP006
def test_a_task_that_takes_a_list_may_say_of_what(annotation: Any) -> None:
    """Or not."""

    def take(orders: Any) -> None: ...

    take.__annotations__.update({"orders": annotation} if annotation else {})
    if annotation is None:
        del take.__annotations__["orders"]
    app = tracked_app(broker_url="redis://broker.invalid/0")
    app._task_from_fun(take, name="take", takes_list=True)
    check(app, SETTINGS, [])


@pytest.mark.parametrize("name", ["time_limit_seconds", "soft_time_limit_seconds"])
def test_a_routes_limit_above_the_workers_is_refused(name: str) -> None:
    """By the route's name; at the worker's it is fine, and a route of a task that it doesn't know isn't its own."""
    app = tracked_app()
    app.task(shared=False, name="follows")(handle)
    app.finalize()
    fits: dict[str, Any] = {name: 300}
    too_long: dict[str, Any] = {name: 301}
    check(app, SETTINGS, (Route("orders", dict, "follows", **fits), Route("o", dict, "other", **too_long)))
    with pytest.raises(ConfigurationError, match=rf"{name} of the route for orders is 301: .*TIME_LIMIT_SECONDS \(300"):
        check(app, SETTINGS, (Route("orders", dict, "follows", **too_long),))


@pytest.mark.parametrize("options", [{"priority_steps": [0, 5]}, {"sep": ":"}])
def test_priorities_need_kombus_own_lists(options: dict[str, Any]) -> None:
    """The consumer pushes there; without a priority there is one list, whatever the app says."""
    timeout = {"visibility_timeout": SETTINGS.visibility_timeout_seconds}
    app = tracked_app(broker_transport_options=timeout | options)
    app.finalize()
    check(app, SETTINGS, (Route("orders", dict, "follows"),))
    with pytest.raises(ConfigurationError, match="the route for orders has a priority"):
        check(app, SETTINGS, (Route("orders", dict, "follows", priority=3),))


def test_a_worker_needs_no_schema_file() -> None:
    """The consumer has checked what comes: neither the file nor its library have to be where the worker is."""
    app = tracked_app()
    app.task(shared=False, name="follows")(handle)
    app.finalize()
    check(app, SETTINGS, (Route("orders", JsonSchema("missing.json"), "follows"),))


@pytest.mark.parametrize(
    ("pool", "route", "warned"),
    [
        ("celery.concurrency.prefork:TaskPool", Route("orders", dict, "follows"), []),
        ("celery.concurrency.solo:TaskPool", Route("orders", dict, "follows"), ["can't enforce hard time limits"]),
        ("celery.concurrency.prefork:TaskPool", Route("orders", dict, "missing"), ["missing in FERRY_IMPORTS"]),
        ("celery.concurrency.prefork:TaskPool", Route("orders", dict, "missing", "elsewhere"), []),
    ],
)
def test_warnings(pool: str, route: Route, warned: list[str]) -> None:
    """A pool without hard limits, and a task that this worker should know, are told."""
    app = tracked_app()
    app.task(shared=False, name="follows")(handle)
    app.finalize()
    found = list(warnings(app, SimpleNamespace(pool_cls=pool), (route,)))
    assert len(found) == len(warned)
    assert all(part in text for part, text in zip(warned, found, strict=True))
