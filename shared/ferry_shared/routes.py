"""Routes: which topic becomes which task. A message can never choose a task outside them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
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


@dataclass(frozen=True, slots=True)
class Route:
    """Every record of `topic`, validated as `message`, becomes the task named `task` in `queue`.

    `message` is any type that pydantic validates: a model, a union, a TypedDict, a dataclass; or a `JsonSchema`.
    """

    topic: str
    message: Any
    task: str
    queue: str = DEFAULT_QUEUE

    @property
    def adapter(self) -> MessageAdapter:
        """The validator of this route's messages; build it once and keep it.

        Raises:
            ConfigurationError: pydantic can't validate that type, or there is no such schema.
        """
        try:
            return self.message.adapter if isinstance(self.message, JsonSchema) else adapter_of(self.message)
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
        ConfigurationError: they are no list of routes with distinct topics.
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
    return found


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
