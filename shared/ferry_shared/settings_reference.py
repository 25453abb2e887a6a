"""The reference of all settings, made from the classes: `.env.example` and `docs/settings.md`.

`python -m ferry_shared.settings_reference` rewrites both in a checkout; a test fails when they are out of date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from ferry_shared.kafka_properties import RESERVED
from ferry_shared.settings import (
    ConsumerSettings,
    KafkaSettings,
    LogSettings,
    ProducerSettings,
    RedisSettings,
    RouteSettings,
    RoutingSettings,
    WorkerSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from ferry_shared.settings import Settings

SECTIONS: dict[str, type[Settings]] = {
    "Kafka": KafkaSettings,
    "Redis and Celery": RedisSettings,
    "Routing": RoutingSettings,
    "Logs": LogSettings,
    "Producer": ProducerSettings,
    "Consumer": ConsumerSettings,
    "Worker and beat": WorkerSettings,
}
#: What each service reads; a worker's beat reads the same.
SERVICES: dict[str, tuple[type[Settings], ...]] = {
    "producer": (ProducerSettings, RouteSettings),
    "consumer": (ConsumerSettings,),
    "worker": (WorkerSettings,),
}
ENV_EXAMPLE = ".env.example"
SETTINGS_PAGE = "docs/settings.md"

_KIND_BY_ENDING = {
    "_ms": "milliseconds",
    "_seconds": "seconds",
    "_url": "URL",
    "_backend": "URL",
    "_location": "path",
    "_config": "path",
    "_properties": "JSON object",
}
_ENV_INTRODUCTION = """\
# Every setting of Ferry with its default. Nothing here is needed: copy this file to `.env` and take the `#` away
# where you want another value. A variable of the environment wins over this file; an empty value means the default.
# Made by `python -m ferry_shared.settings_reference`.
"""
_PAGE_INTRODUCTION = """\
# Settings

Everything runs without any of them. Each is an environment variable, or a line of the file `.env` in the working
directory ([.env.example](../.env.example) has them all); `FERRY_ENV_FILE` names another file. The environment wins
over the file, and an empty value means the default.

A wrong value is told at start, by name and never with the value itself, and the exit code is 2. In a password inside
a URL, special characters are percent-encoded (`/` is `%2F`).

`KAFKA_CLIENT_PROPERTIES` may hold anything that librdkafka knows, except what Ferry's promises rest on:
{reserved}. The producer refuses `acks`, `retries`, `delivery.report.only.error` and `transactional.id` as well; the
consumer passes over `group.id` and `log_level`, and where it writes dead letters `acks`, `enable.idempotence` and
`message.max.bytes`.

A service refuses to start with a wrong value of what it reads, and ignores the rest: one `.env` does for all. Beat
reads what the worker reads; the command `ferry` reads the settings of the services that it asks about.

This page is made from the code, by `python -m ferry_shared.settings_reference`.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `default` is the text that means it in a `.env`, `expects` tells type, unit and range."""

    name: str
    default: str
    expects: str
    readers: tuple[str, ...]
    meaning: str


def settings_of(section: type[Settings]) -> Iterator[Setting]:
    """Return a section's settings, with those of the sections that it includes."""
    for name, field in section.model_fields.items():
        readers = tuple(
            service for service, read in SERVICES.items() if any(name in part.model_fields for part in read)
        )
        yield Setting(name.upper(), _default(field), _expects(name, field), readers, field.description or "")


def reference() -> dict[str, list[Setting]]:
    """Return every setting once, in the first section that has it."""
    seen: set[str] = set()
    sections: dict[str, list[Setting]] = {}
    for title, section in SECTIONS.items():
        sections[title] = [setting for setting in settings_of(section) if setting.name not in seen]
        seen.update(setting.name for setting in sections[title])
    return sections


def env_example() -> str:
    """Return the content of `.env.example`."""
    parts = [_ENV_INTRODUCTION]
    for title, settings in reference().items():
        parts.append(f"\n## {title}\n")
        parts += [f"\n# {item.meaning} ({item.expects})\n#{item.name}={item.default}\n" for item in settings]
    return "".join(parts)


def settings_page() -> str:
    """Return the content of `docs/settings.md`."""
    reserved = ", ".join(f"`{name}`" for name in sorted(RESERVED))
    parts = [_PAGE_INTRODUCTION.format(reserved=reserved)]
    for title, settings in reference().items():
        parts.append(f"\n## {title}\n\n| setting | default | expects | read by | meaning |\n|---|---|---|---|---|\n")
        parts += map(_row, settings)
    return "".join(parts)


def _row(setting: Setting) -> str:
    readers = "all" if len(setting.readers) == len(SERVICES) else ", ".join(setting.readers)
    cells = (f"`{setting.name}`", _code(setting.default), setting.expects, readers, setting.meaning)
    return f"| {' | '.join(cells)} |\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None:
            return ""
        case SecretStr():
            return value.get_secret_value()
        case dict():
            return json.dumps(value)
        case float():
            return f"{value:g}"
    if value is PydanticUndefined:
        raise TypeError("every setting has a default: Ferry starts without any")
    return str(value)


def _expects(name: str, field: FieldInfo) -> str:
    return ", ".join(part for part in (_kind(name, field), _bounds(field)) if part)


def _kind(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        *others, last = map(str, get_args(field.annotation))
        return f"{', '.join(others)} or {last}"
    types = {field.annotation, *get_args(field.annotation)}
    by_type = "number" if types & {int, float} else "text"
    return next((kind for ending, kind in _KIND_BY_ENDING.items() if name.endswith(ending)), by_type)


def _bounds(field: FieldInfo) -> str:
    lower, above, upper = (
        next((str(getattr(item, name)) for item in field.metadata if hasattr(item, name)), "")
        for name in ("ge", "gt", "le")
    )
    if lower and upper:
        return f"{lower} to {upper}"
    parts = (lower and f"at least {lower}", above and f"above {above}", upper and f"at most {upper}")
    return ", ".join(part for part in parts if part)


def main(root: Path | None = None) -> None:
    """Rewrite both files of the checkout that this module lies in."""
    checkout = root or Path(__file__).parents[2]
    (checkout / ENV_EXAMPLE).write_text(env_example(), encoding="utf-8")
    (checkout / SETTINGS_PAGE).write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
