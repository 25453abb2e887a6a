"""Commands to paste: they work as printed, in the folder where `ferry` was started."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ferry_console.local.running import DEFAULT_KAFKA_PORT, DEFAULT_VALKEY_PORT, Running


def program(name: str) -> str:
    """How the shell finds one of Ferry's programs: its name if that is on PATH, else its path."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found is not None and (not beside.exists() or Path(found).samefile(beside)):
        return name
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def to_kafka(running: Running, name: str, *arguments: str, given: Mapping[str, str] | None = None) -> str:
    """A command line that talks to Kafka, with the settings that were `given` to the system too."""
    return _line(_kafka_setting(running) | dict(given or {}), name, arguments)


def to_all(running: Running, name: str, *arguments: str, given: Mapping[str, str] | None = None) -> str:
    """A command line that talks to Kafka and Valkey, with the settings that were `given` to the system too."""
    return _line(_kafka_setting(running) | _valkey_setting(running) | dict(given or {}), name, arguments)


def _kafka_setting(running: Running) -> dict[str, str]:
    return {} if running.kafka_port == DEFAULT_KAFKA_PORT else {"KAFKA_BOOTSTRAP_SERVERS": running.bootstrap_servers}


def _valkey_setting(running: Running) -> dict[str, str]:
    return {} if running.valkey_port == DEFAULT_VALKEY_PORT else {"CELERY_BROKER_URL": running.broker_url}


def _line(settings: dict[str, str], name: str, arguments: tuple[str, ...]) -> str:
    words = [*(f"{variable}={shlex.quote(value)}" for variable, value in settings.items()), program(name)]
    return " ".join([*words, *(argument if argument in "<|" else _quoted(argument) for argument in arguments)])


def _quoted(argument: str) -> str:
    """Double quotes where they are enough, as people write them."""
    if shlex.quote(argument) == argument:
        return argument
    return shlex.quote(argument) if set('"$`\\!') & set(argument) else f'"{argument}"'
