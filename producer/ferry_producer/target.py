"""Where a run's messages go, and by whose rules they are checked before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ferry_producer.messages import built_in_line, built_in_value, checker_of_route, route_line
from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import load_routes
from ferry_shared.settings import RouteSettings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferry_shared.settings import ProducerSettings


@dataclass(frozen=True, slots=True)
class Target:
    """A topic, and what makes a record's value of a line's content (raises `InvalidText`).

    `line_of` makes an argument a line with the same value; `has_route` says that the topic is one of FERRY_ROUTES.
    """

    topic: str | None
    value_of: Callable[[bytes], bytes] = built_in_value
    line_of: Callable[[bytes], bytes] = built_in_line
    has_route: bool = False


def target_of(topic: str | None, settings: ProducerSettings) -> Target:
    """The topic that was asked for, or that of the settings' only route; a route's topic has that route's rules.

    Raises:
        ConfigurationError: several routes, and no topic was asked for.
    """
    wanted = load(RouteSettings)
    if not wanted.ferry_routes:
        return Target(topic)
    routes = {route.topic: route for route in load_routes(wanted)}
    if topic is None and settings.ferry_topic not in routes and len(routes) > 1:
        raise ConfigurationError(f"FERRY_ROUTES has several topics: choose one with --topic: {', '.join(routes)}")
    if topic is None:
        topic = settings.ferry_topic if settings.ferry_topic in routes else next(iter(routes))
    if topic not in routes:
        return Target(topic)
    return Target(topic, checker_of_route(routes[topic].adapter), route_line, has_route=True)
