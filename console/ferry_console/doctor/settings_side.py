"""The settings of consumer, worker and producer, and the routes: what can be read of them, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ferry_console.doctor.finding import Area, error, ok, warning
from ferry_shared.errors import ConfigurationError
from ferry_shared.routes import load_routes
from ferry_shared.settings import (
    ConsumerSettings,
    KafkaSettings,
    ProducerSettings,
    RedisSettings,
    RoutingSettings,
    WorkerSettings,
    env_file,
    examine,
    names_given,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ferry_console.doctor.finding import Finding
    from ferry_shared.routes import Route
    from ferry_shared.settings import Examined, Settings

_REMEDY = "correct it; docs/settings.md and .env.example have every setting with what it expects"
#: difflib's likeness, from 0 to 1, from which a name passes for a mistyped one.
MISTYPED_LIKENESS = 0.85
#: The start of names that Ferry shares with nobody; `FERRY_ENV_FILE` is read before any section.
_PREFIXES = ("FERRY_", "CONSUMER_", "WORKER_", "PRODUCER_", "KAFKA_", "CELERY_")
_OUTSIDE_SECTIONS = frozenset({"FERRY_ENV_FILE"})


@dataclass(frozen=True, slots=True)
class SettingsLook:
    """The settings as far as they hold; None is what can't be used, and is not looked at any further.

    `consumer` has defaults where only the consumer itself would stumble.
    """

    findings: tuple[Finding, ...]
    consumer: ConsumerSettings | None
    knows_kafka: bool
    knows_redis: bool
    worker: WorkerSettings | None
    routes: tuple[Route, ...] | None


def look() -> SettingsLook:
    """Read all sections and import the routes; nothing is raised."""
    sections: dict[str, Examined[ConsumerSettings] | Examined[WorkerSettings] | Examined[ProducerSettings]]
    consumer, worker, producer = examine(ConsumerSettings), examine(WorkerSettings), examine(ProducerSettings)
    sections = {"consumer": consumer, "worker": worker, "producer": producer}
    given = names_given()
    findings = [ok(Area.SETTINGS, _source()), *section_findings(sections), *mistyped(given, known_names())]
    routes, route_findings = _routes(consumer)
    return SettingsLook(
        (*findings, *route_findings),
        consumer.settings,
        is_whole(KafkaSettings, consumer),
        is_whole(RedisSettings, consumer),
        None if worker.problems else worker.settings,
        routes,
    )


def is_whole(part: type[Settings], examined: Examined[ConsumerSettings]) -> bool:
    """Whether all settings of `part` are what the user gave: a default in their place would be another server."""
    return examined.settings is not None and not examined.wrong & part.model_fields.keys()


def section_findings(
    sections: Mapping[str, Examined[ConsumerSettings] | Examined[WorkerSettings] | Examined[ProducerSettings]],
) -> Iterator[Finding]:
    """A line for each section that can be read, with the names of what was set; and one for each wrong variable."""
    told: set[str] = set()
    for name, examined in sections.items():
        for problem in examined.problems:
            if problem not in told:
                yield error(Area.SETTINGS, problem, _REMEDY)
        told.update(examined.problems)
        if not examined.problems and examined.settings is not None:
            given = sorted(field.upper() for field in examined.settings.model_fields_set)
            yield ok(Area.SETTINGS, f"the {name}'s can be read; set here: {', '.join(given) or 'none, all defaults'}")


def known_names() -> frozenset[str]:
    """The names of all settings."""
    classes = (ConsumerSettings, WorkerSettings, ProducerSettings)
    return frozenset(name.upper() for section in classes for name in section.model_fields) | _OUTSIDE_SECTIONS


def mistyped(given: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    """Names that look like a setting and are none: what they should set keeps its default, and nobody says so."""
    for name in sorted(set(given) - set(known)):
        if not name.startswith(_PREFIXES):
            continue
        for alike in get_close_matches(name, sorted(known), n=1, cutoff=MISTYPED_LIKENESS):
            yield warning(
                Area.SETTINGS, f"{name} is set, and no setting has that name", f"was {alike} meant? else ignore this"
            )


def _source() -> str:
    try:
        file = env_file()
    except ConfigurationError:
        # Told as a problem of every section.
        return "variables are read from the environment"
    if file is None or not file.is_file():
        return f"variables are read from the environment; there is no .env in {Path.cwd()}"
    return f"variables are read from the environment and from {file.absolute()}"


def _routes(consumer: Examined[ConsumerSettings]) -> tuple[tuple[Route, ...] | None, list[Finding]]:
    if consumer.settings is None or not is_whole(RoutingSettings, consumer):
        return None, []
    try:
        routes = load_routes(consumer.settings)
        for route in routes:
            _ = route.adapter
        _check_dead_letter_names(routes, consumer.settings.consumer_dead_letter_suffix)
    except ConfigurationError as problem:
        return None, [error(Area.SETTINGS, str(problem), "correct the routes, or the FERRY_ROUTES that names them")]
    except SystemExit:
        told = "FERRY_ROUTES: importing its module ended the program"
        return None, [error(Area.SETTINGS, told, "move what the module does at import into a function")]
    return routes, [ok(Area.SETTINGS, routes_line(routes))]


def _check_dead_letter_names(routes: Sequence[Route], suffix: str) -> None:
    """The consumer's check; it can't be had without Kafka's client, whose absence is told among the clients."""
    try:
        from ferry_consumer.dead_letter_topics import check_names  # noqa: PLC0415 - other services are imported when needed
    except ImportError:
        return
    check_names([route.topic for route in routes], suffix)


def routes_line(routes: Sequence[Route]) -> str:
    """Which topic becomes which task in which queue."""
    told = [f"{route.topic} -> {route.task} (queue {route.queue})" for route in routes]
    return f"{len(told)} route{'' if len(told) == 1 else 's'}: {', '.join(told)}"
