"""Routes: the built-in one, a user's own, and what a wrong reference is told."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferry_shared.errors import ConfigurationError
from ferry_shared.message import Message
from ferry_shared.routes import Route, checked_routes, load_routes
from ferry_shared.settings import RoutingSettings

MODULE = """
from ferry_shared.message import Message
from ferry_shared.routes import Route

class Order(Message):
    amount: int

one = Route(topic="orders", message=Order, task="handleOrder", queue="orders")
routes = [one, Route("letters", dict[str, int], "handleLetter")]
lazily = (route for route in [one])
twice = [one, Route("orders", Message, "other")]
misnamed = [one, Route("orders/new", Message, "other")]
empty = []
mixed = [one, "orders"]
text = "orders"
number = 7
"""


@pytest.fixture(autouse=True)
def _modules_of_a_user(tmp_path: Path) -> Iterator[None]:
    """Modules in the working directory, forgotten afterwards."""
    (tmp_path / "my_orders").mkdir()
    (tmp_path / "my_orders/__init__.py").write_text("")
    (tmp_path / "my_orders/routes.py").write_text(MODULE)
    (tmp_path / "broken_routes.py").write_text("def routes(:\n")
    (tmp_path / "failing_routes.py").write_text("raise RuntimeError('no database')\n")
    (tmp_path / "lacking_routes.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "attribute_routes.py").write_text("import sys\nsys.no_such_thing\n")
    before, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def routes(reference: str) -> tuple[Route, ...]:
    """What FERRY_ROUTES=reference means."""
    return load_routes(RoutingSettings(ferry_routes=reference))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"priority": -1}, "the priority of the route for orders: expected 0 (first) to 9"),
        ({"priority": 10}, "the priority of the route for orders"),
        ({"priority": True}, "the priority of the route for orders"),
        ({"priority": 2.0}, "the priority of the route for orders"),
        ({"time_limit_seconds": 0}, "time_limit_seconds of the route for orders: expected seconds above 0"),
        ({"time_limit_seconds": 86_401}, "time_limit_seconds of the route for orders"),
        ({"time_limit_seconds": "5"}, "time_limit_seconds of the route for orders"),
        ({"soft_time_limit_seconds": float("nan")}, "soft_time_limit_seconds of the route for orders"),
        ({"countdown_field": "after"}, "countdown_field of the route for orders: its message has no field 'after'"),
        ({"countdown_field": 5}, "countdown_field of the route for orders"),
        (
            {"time_limit_seconds": 5, "soft_time_limit_seconds": 5.5},
            "soft_time_limit_seconds of the route for orders: expected at most time_limit_seconds (5)",
        ),
    ],
)
def test_an_option_that_can_not_be_is_refused(options: dict[str, Any], told: str) -> None:
    """By its name and its route, where the routes are loaded."""
    with pytest.raises(ConfigurationError) as refused:
        checked_routes([Route("letters", Message, "read"), Route("orders", Message, "handle", **options)], "routes")
    assert str(refused.value).startswith(f"FERRY_ROUTES: {told}")


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 9},
        {"countdown_field": "text"},
        {"time_limit_seconds": 0.5},
        {"time_limit_seconds": 5, "soft_time_limit_seconds": 5},
    ],
)
def test_options_that_can_be_are_taken(options: dict[str, Any]) -> None:
    """As they are."""
    route = Route("orders", Message, "handle", **options)
    assert checked_routes([route], "routes") == (route,)


def test_without_a_reference_there_is_the_built_in_route() -> None:
    """FERRY_TOPIC becomes the task printSomething in Celery's default queue."""
    assert load_routes(RoutingSettings(ferry_topic="letters")) == (
        Route("letters", Message, "printSomething", "celery"),
    )


def test_ones_own_routes() -> None:
    """Routes are found in a module of the working directory; any type that pydantic validates will do."""
    order, letter = routes("my_orders.routes:routes")

    assert (order.topic, order.task, order.queue) == ("orders", "handleOrder", "orders")
    assert order.adapter.validate_json('{"text": "x", "amount": 3}').amount == 3
    assert (letter.queue, letter.adapter.validate_json('{"a": 1}')) == ("celery", {"a": 1})


def test_any_iterable_of_routes() -> None:
    """Routes may come from a generator."""
    assert [route.topic for route in routes("my_orders.routes:lazily")] == ["orders"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("my_orders.routes", "expected package.module:attribute"),
        (":routes", "expected package.module:attribute"),
        ("my_orders.routes:", "expected package.module:attribute"),
        (
            "no_such_module_anywhere:routes",
            "can't import no_such_module_anywhere: there is no module no_such_module_anywhere (searched in /",
        ),
        ("my_orders.missing:routes", "can't import my_orders.missing: there is no module my_orders.missing (searched"),
        ("..routes:routes", "can't import ..routes"),
        ("my orders:routes", "can't import my orders"),
        ("lacking_routes:routes", "can't import lacking_routes: ModuleNotFoundError"),
        ("broken_routes:routes", "can't import broken_routes: SyntaxError"),
        ("failing_routes:routes", "can't import failing_routes: RuntimeError: no database"),
        ("attribute_routes:routes", "can't import attribute_routes: AttributeError"),
        ("my_orders.routes:other", "my_orders.routes has no attribute other"),
        ("my_orders.routes:empty", "expected my_orders.routes:empty to be a list of Route"),
        ("my_orders.routes:one", "expected my_orders.routes:one to be a list of Route"),
        ("my_orders.routes:number", "expected my_orders.routes:number to be a list of Route"),
        ("my_orders.routes:text", "expected Route(...) objects, found str"),
        ("my_orders.routes:mixed", "expected Route(...) objects, found str"),
        ("my_orders.routes:misnamed", "'orders/new' is no topic name: expected a topic name: 1 to 249 letters"),
        ("my_orders.routes:twice", "the topic orders has more than one route"),
    ],
)
def test_a_wrong_reference_is_told(reference: str, expected: str) -> None:
    """Whatever is wrong with FERRY_ROUTES, the error names it and says what is expected."""
    with pytest.raises(ConfigurationError) as caught:
        routes(reference)
    assert str(caught.value).startswith(f"FERRY_ROUTES: {expected}")
