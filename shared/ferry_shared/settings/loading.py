"""Read a section, and tell what is wrong without showing a value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import SettingsError

from ferry_shared.errors import ConfigurationError
from ferry_shared.settings.section import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

SettingsT = TypeVar("SettingsT", bound=Settings)


def load(section: type[SettingsT], **fixed: Any) -> SettingsT:
    """Read one section; values that are `fixed` by a command line win over environment and file.

    Raises:
        ConfigurationError: naming each wrong variable and what is expected of it, never a value.
    """
    examined = _read(section, env_file(), fixed)
    if examined.settings is None:
        # Raised outside the handler: pydantic's error holds the values (also in `errors()`), so it must not be chained.
        lines = "\n".join(f"  {line}" for line in examined.problems)
        raise ConfigurationError(f"Ferry's settings need a change:\n{lines}")
    return examined.settings


@dataclass(frozen=True, slots=True)
class Examined(Generic[SettingsT]):
    """A section as far as it can be read: `problems` are sentences that name variables, never values.

    `wrong` are the fields whose variables are wrong; in `settings`, which is None when nothing can be made of the
    section, they have their defaults.
    """

    settings: SettingsT | None
    problems: tuple[str, ...] = ()
    wrong: frozenset[str] = frozenset()


def examine(section: type[SettingsT]) -> Examined[SettingsT]:
    """Read one section for somebody who looks for what is wrong; nothing is raised."""
    try:
        file = env_file()
    except ConfigurationError as error:
        return Examined(None, (str(error),))
    found = _read(section, file)
    if not found.wrong:
        return found
    fields = section.model_fields
    defaults = {name: fields[name].get_default(call_default_factory=True, validated_data={}) for name in found.wrong}
    again = _read(section, file, defaults)
    return Examined(again.settings, found.problems + again.problems, found.wrong | again.wrong)


def names_given() -> frozenset[str]:
    """The names of all variables in the environment and in `.env`, in capitals: known to Ferry or not."""
    try:
        file = env_file()
        lines = dotenv_values(file, interpolate=False) if file else {}
    except (ConfigurationError, OSError, UnicodeDecodeError):
        lines = {}
    return frozenset(name.upper() for name in (*os.environ, *lines))


def _read(section: type[SettingsT], file: Path | None, fixed: Mapping[str, Any] | None = None) -> Examined[SettingsT]:
    """Read a section; a value that is `fixed` wins over environment and file."""
    try:
        return Examined(section(_env_file=file, **(fixed or {})))
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False, include_url=False)
        wrong = frozenset(str(detail["loc"][0]) for detail in details if detail["loc"])
        return Examined(None, tuple(_sentence(detail["loc"], detail["msg"]) for detail in details), wrong)
    except SettingsError as error:
        return Examined(None, (str(error),))
    except UnicodeDecodeError:
        return Examined(None, (f"{file}: expected a text file in UTF-8",))
    except OSError as error:
        return Examined(None, (f"{file}: expected a file that can be read: {error.strerror}",))


def env_file() -> Path | None:
    """The file that variables are read from, whether it is there or not.

    Raises:
        ConfigurationError: `FERRY_ENV_FILE` names none.
    """
    named = os.environ.get("FERRY_ENV_FILE")
    if not named:
        return Path(".env")
    if not Path(named).is_file():
        raise ConfigurationError("FERRY_ENV_FILE: expected the path of a file")
    return Path(named)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message
