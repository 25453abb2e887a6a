"""Read a section, and tell what is wrong without showing a value."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from ferry_shared.errors import ConfigurationError
from ferry_shared.settings.section import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


def load(section: type[SettingsT]) -> SettingsT:
    """Read one section.

    Raises:
        ConfigurationError: naming each wrong variable and what is expected of it, never a value.
    """
    settings, problems = _read(section, _env_file())
    if settings is None:
        # Raised outside the handler: pydantic's error holds the values (also in `errors()`), so it must not be chained.
        raise ConfigurationError("Ferry's settings need a change:\n" + "\n".join(f"  {line}" for line in problems))
    return settings


def _read(section: type[SettingsT], env_file: Path | None) -> tuple[SettingsT | None, list[str]]:
    try:
        return section(_env_file=env_file), []
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False, include_url=False)
        return None, [_sentence(detail["loc"], detail["msg"]) for detail in details]
    except SettingsError as error:
        return None, [str(error)]
    except UnicodeDecodeError:
        return None, [f"{env_file}: expected a text file in UTF-8"]
    except OSError as error:
        return None, [f"{env_file}: expected a file that can be read: {error.strerror}"]


def _env_file() -> Path | None:
    named = os.environ.get("FERRY_ENV_FILE")
    if not named:
        return Path(".env")
    if not Path(named).is_file():
        raise ConfigurationError("FERRY_ENV_FILE: expected the path of a file")
    return Path(named)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}" if location else message
