"""Routes: which topic becomes which task. A message can never choose a task outside them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferry_shared.errors import ConfigurationError
from ferry_shared.json_schema import JsonSchema
from ferry_shared.message import Message
from ferry_shared.record import TOPIC_NAME_EXPECTED, is_topic_name
from ferry_shared.validation import adapter_of, first_line

if TYPE_CHECKING:
    from ferry_shared.settings import RouteSettings
    from ferry_shared.validation import MessageAdapter

__all__ = ["BUILT_IN_TASK", "DEFAULT_QUEUE", "JsonSchema", "Route", "checked_routes", "load_routes"]

DEFAULT_QUEUE = "celery"
BUILT_IN_TASK = "printSomething"
LAST_PRIORITY = 9
#: A day, as for WORKER_TASK_TIME_LIMIT_SECONDS.
MOST_SECONDS = 86_400
MOST_MESSAGES_A_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Route:
    """Every record of `topic`, validated as `message`, becomes the task named `task` in `queue`.

    `message` is any type that pydantic validates: a model, a union, a TypedDict, a dataclass; or a `JsonSchema`.
    `priority` is Celery's, with a Redis broker: of what waits, 0 is taken before 3, that before 6, that before 9.
    The time limits are in seconds, and go before the task's own. `countdown_field` names a field of the message that
    delays its task: seconds, or a moment. `batch_size`: at most so many messages go into one Celery message, in place
    of CONSUMER_BATCH_SIZE.
    """

    topic: str
    message: Any
    task: str
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    time_limit_seconds: float | None = None
    soft_time_limit_seconds: float | None = None
    countdown_field: str | None = None
    batch_size: int | None = None

    @property
    def adapter(self) -> MessageAdapter:
        """The validator of this route's messages; build it once and keep it.

        Raises:
            ConfigurationError: pydantic can't validate that type, or there is no such schema.
        """
        try:
            if isinstance(self.message, JsonSchema):
                return self.message.adapter
            # Without the wrapper around it, which takes as long as a small message.
            return adapter_of(self.message).validator
        except Exception as error:
            # A type is a user's code: anything can come out of it.
            raise ConfigurationError(
                f"FERRY_ROUTES: the message type of the route for {self.topic} can't be used: {first_line(error)}"
            ) from error


def load_routes(settings: RouteSettings) -> tuple[Route, ...]:
    """Return the routes that `FERRY_ROUTES` names, or the built-in one.

    Raises:
        ConfigurationError: the module or attribute isn't there, or isn't a list of routes with distinct topics.
    """
    if not settings.ferry_routes:
        return (Route(settings.ferry_topic, Message, BUILT_IN_TASK),)
    return checked_routes(_attribute(settings.ferry_routes), settings.ferry_routes)


def checked_routes(routes: object, name: str) -> tuple[Route, ...]:
    """Return routes if they are some; `name` is what they are called in an error.

    Raises:
        ConfigurationError: they are no list of routes with distinct topics, or one has an option that can't be.
    """
    if not isinstance(routes, Iterable) or not (found := tuple(routes)):
        raise ConfigurationError(f"FERRY_ROUTES: expected {name} to be a list of Route(...)")
    if wrong := [route for route in found if not isinstance(route, Route)]:
        raise ConfigurationError(f"FERRY_ROUTES: expected Route(...) objects, found {type(wrong[0]).__name__}")
    topics = [route.topic for route in found]
    if unusable := [topic for topic in topics if not is_topic_name(topic)]:
        raise ConfigurationError(f"FERRY_ROUTES: {unusable[0]!r} is no topic name: {TOPIC_NAME_EXPECTED}")
    if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
        raise ConfigurationError(f"FERRY_ROUTES: the topic {twice[0]} has more than one route")
    if problems := [problem for route in found for problem in _problems(route)]:
        raise ConfigurationError(f"FERRY_ROUTES: {problems[0]}")
    return found


def _problems(route: Route) -> Iterator[str]:
    """What of a route's options can't be."""
    if type(route.priority) is not int or not 0 <= route.priority <= LAST_PRIORITY:
        yield f"the priority of the route for {route.topic}: expected 0 (first) to {LAST_PRIORITY}"
    if not _may_have(route.message, route.countdown_field):
        yield f"countdown_field of the route for {route.topic}: its message has no field {route.countdown_field!r}"
    size = route.batch_size
    if size is not None and (type(size) is not int or not 0 < size <= MOST_MESSAGES_A_BATCH):
        yield f"batch_size of the route for {route.topic}: expected 1 to {MOST_MESSAGES_A_BATCH:,}"
    hard, soft = route.time_limit_seconds, route.soft_time_limit_seconds
    for name, limit in (("time_limit_seconds", hard), ("soft_time_limit_seconds", soft)):
        if limit is not None and (type(limit) not in {int, float} or not 0 < limit <= MOST_SECONDS):
            yield f"{name} of the route for {route.topic}: expected seconds above 0, at most {MOST_SECONDS:,}"
            return
    if hard is not None and soft is not None and soft > hard:
        yield f"soft_time_limit_seconds of the route for {route.topic}: expected at most time_limit_seconds ({hard:g})"


def _may_have(message: Any, field: str | None) -> bool:
    """Whether a message type can have a field; only of a pydantic model that is known."""
    fields = getattr(message, "model_fields", None)
    return field is None or (isinstance(field, str) and (fields is None or field in fields))


def _attribute(reference: str) -> object:
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError("FERRY_ROUTES: expected package.module:attribute, such as orders.routes:routes")
    if (here := str(Path.cwd())) not in sys.path:
        # Celery does the same for -A: a user's own modules lie in the working directory.
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # A user's module: anything can come out of it.
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            problem = f"there is no module {error.name} (searched in {here} and sys.path)"
        raise ConfigurationError(f"FERRY_ROUTES: can't import {module_name}: {problem}") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigurationError(f"FERRY_ROUTES: {module_name} has no attribute {attribute}") from error
